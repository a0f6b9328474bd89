-- Access: who may be called in a caller's name, one frame for every write, an audit log that cannot be changed in
-- silence, policies for the rate limit, usage of keys.

-- What may be called in a caller's name ----------------------------------------------------------------------------

CREATE TABLE nodeai.callable_functions (name text PRIMARY KEY);
SELECT nodeai.lock_table('nodeai.callable_functions');

-- Lists `public.<fn>(jsonb)` for nodeai.act.
CREATE FUNCTION nodeai.allow_call(fn text) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM format('public.%I(jsonb)', fn)::regprocedure;
  INSERT INTO nodeai.callable_functions VALUES (fn) ON CONFLICT DO NOTHING;
END
$$;
SELECT nodeai.expose('nodeai.allow_call(text)', '{}');

CREATE FUNCTION nodeai.require_callable(fn text) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM nodeai.callable_functions c WHERE c.name = fn) THEN
    RAISE EXCEPTION 'not callable: %', fn USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.require_callable(text)', '{authenticated,service_role}');

CREATE OR REPLACE FUNCTION nodeai.act(claims text, role text, fn text, args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  answer jsonb;
BEGIN
  IF act.role NOT IN ('authenticated', 'service_role') THEN
    RAISE EXCEPTION 'no such role' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM set_config('request.jwt.claims', act.claims, true), set_config('role', act.role, true);
  PERFORM nodeai.require_callable(fn);
  EXECUTE format('SELECT public.%I($1)', fn) INTO answer USING args;
  RETURN answer;
END
$$;

-- Audit: append-only, chained by hash ------------------------------------------------------------------------------

ALTER TABLE public.audit_logs ADD COLUMN chain bigint;
CREATE UNIQUE INDEX audit_logs_chain_unique ON public.audit_logs (org_id, chain) WHERE chain IS NOT NULL;
REVOKE DELETE ON public.audit_logs, public.secret_access_log FROM service_role;

-- Where each organisation's chain ends: a row that was cut off its end is missed by this.
CREATE TABLE nodeai.audit_heads (
  org_id uuid PRIMARY KEY,
  chain bigint NOT NULL,
  hash text NOT NULL
) WITH (fillfactor = 50);
SELECT nodeai.lock_table('nodeai.audit_heads');

-- Rows of a log stay as they are, whoever asks; they go with their whole organisation only.
CREATE FUNCTION nodeai.append_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF TG_OP = 'DELETE' AND OLD.org_id::text = current_setting('nodeai.erasing', true) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
SELECT nodeai.expose('nodeai.append_only()', '{}');
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON public.audit_logs
  FOR EACH ROW EXECUTE FUNCTION nodeai.append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON public.secret_access_log
  FOR EACH ROW EXECUTE FUNCTION nodeai.append_only();

-- SHA-256 over the hash before and everything that the row says (jsonb writes its keys in one order only).
CREATE FUNCTION nodeai.audit_hash(prev text, a public.audit_logs) RETURNS text LANGUAGE sql STABLE
  RETURN encode(sha256(convert_to(prev || jsonb_build_object(
    'id', a.id, 'org_id', a.org_id, 'chain', a.chain, 'at_us', nodeai.to_us(a.at), 'actor_user_id', a.actor_user_id,
    'actor_key_id', a.actor_key_id, 'action', a.action, 'resource_type', a.resource_type, 'resource_id', a.resource_id,
    'request_id', a.request_id, 'details', a.details)::text, 'UTF8')), 'hex');
SELECT nodeai.expose('nodeai.audit_hash(text, public.audit_logs)', '{}');

-- Appends a row. The chain's end is locked until the transaction ends: the order of rows is that of commits.
CREATE FUNCTION nodeai.append_audit(org uuid, actor uuid, actor_key uuid, entry jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  head nodeai.audit_heads;
  a public.audit_logs;
BEGIN
  INSERT INTO nodeai.audit_heads AS h VALUES (org, 0, repeat('0', 64))
    ON CONFLICT (org_id) DO UPDATE SET chain = h.chain RETURNING * INTO head;
  a.id := nodeai.uuid_v7();
  a.org_id := org;
  a.chain := head.chain + 1;
  a.at := clock_timestamp();
  a.actor_user_id := actor;
  a.actor_key_id := actor_key;
  a.action := entry ->> 'action';
  a.resource_type := entry ->> 'resource_type';
  a.resource_id := entry ->> 'resource_id';
  a.request_id := entry ->> 'request_id';
  a.details := nullif(entry -> 'details', 'null');
  a.prev_hash := head.hash;
  a.hash := nodeai.audit_hash(head.hash, a);
  INSERT INTO public.audit_logs (id, org_id, chain, at, actor_user_id, actor_key_id, action, resource_type, resource_id,
    request_id, details, prev_hash, hash)
  VALUES (a.id, a.org_id, a.chain, a.at, a.actor_user_id, a.actor_key_id, a.action, a.resource_type, a.resource_id,
    a.request_id, a.details, a.prev_hash, a.hash);
  UPDATE nodeai.audit_heads h SET chain = a.chain, hash = a.hash WHERE h.org_id = org;
END
$$;
SELECT nodeai.expose('nodeai.append_audit(uuid, uuid, uuid, jsonb)', '{}');

CREATE OR REPLACE FUNCTION nodeai.audit(org uuid, entry jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
BEGIN
  PERFORM nodeai.require_member(org);
  PERFORM nodeai.append_audit(org, nullif(claims ->> 'sub', '')::uuid, nullif(claims ->> 'key_id', '')::uuid, entry);
END
$$;

-- Recomputes the chain from after `after` (a chain number and the hash there): what was changed, removed or put in
-- between is found. {"after","after_hash","limit","org_id"} → {"ok","checked","chain","hash","complete","fault"}.
CREATE FUNCTION nodeai.verify_audit(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  at_chain bigint := coalesce((p ->> 'after')::bigint, 0);
  at_hash text := coalesce(p ->> 'after_hash', repeat('0', 64));
  most integer := coalesce((p ->> 'limit')::integer, 100000);
  n bigint := 0;
  head nodeai.audit_heads;
  a public.audit_logs;
  fault text;
BEGIN
  IF NOT coalesce(org = ANY (nodeai.orgs_with('admin')), false) THEN
    RAISE EXCEPTION 'not an admin' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT * INTO head FROM nodeai.audit_heads h WHERE h.org_id = org;
  FOR a IN SELECT * FROM public.audit_logs l WHERE l.org_id = org AND l.chain > at_chain ORDER BY l.chain LIMIT most LOOP
    fault := CASE
      WHEN a.chain <> at_chain + 1 THEN 'missing'
      WHEN a.prev_hash IS DISTINCT FROM at_hash THEN 'broken'
      WHEN a.hash IS DISTINCT FROM nodeai.audit_hash(at_hash, a) THEN 'changed' END;
    EXIT WHEN fault IS NOT NULL;
    n := n + 1;
    at_chain := a.chain;
    at_hash := a.hash;
  END LOOP;
  IF fault IS NULL AND n < most AND at_chain < coalesce(head.chain, 0) THEN
    fault := 'missing';
  ELSIF fault IS NULL AND at_chain = head.chain AND at_hash <> head.hash THEN
    fault := 'broken';
  END IF;
  RETURN jsonb_build_object('ok', fault IS NULL, 'checked', n, 'chain', at_chain, 'hash', at_hash,
    'complete', fault IS NULL AND at_chain >= coalesce(head.chain, 0),
    'fault', CASE WHEN fault IS NOT NULL THEN jsonb_build_object('kind', fault, 'after_chain', at_chain, 'id', a.id) END);
END
$$;
SELECT nodeai.expose('nodeai.verify_audit(jsonb)', '{authenticated}');

CREATE FUNCTION public.audit_verify(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT nodeai.verify_audit(p) $$;
SELECT nodeai.expose('public.audit_verify(jsonb)', '{authenticated}');

-- What an audit row may show of a row: no ciphertext, no hash of a credential, a digest of what has versions anyway.
CREATE FUNCTION nodeai.audit_view(seen jsonb) RETURNS jsonb LANGUAGE sql STABLE
  RETURN (SELECT coalesce(jsonb_object_agg(k, CASE WHEN k = 'definition' AND v <> 'null' THEN jsonb_build_object(
      'sha256', encode(sha256(convert_to(v::text, 'UTF8')), 'hex')) ELSE v END), '{}')
    FROM jsonb_each(seen) AS e(k, v)
    WHERE k NOT IN ('id', 'org_id', 'version', 'created_at', 'created_by', 'updated_at', 'deleted_at')
      AND k !~ '(ciphertext|wrapped_key|nonce|_hash)$');
SELECT nodeai.expose('nodeai.audit_view(jsonb)', '{authenticated,service_role}');

-- One frame for every write ----------------------------------------------------------------------------------------

-- A refusal that a handler of the API can explain, or null for what is a defect.
CREATE FUNCTION nodeai.refusal(state text, detail text, constraint_name text, column_name text, message text)
RETURNS jsonb LANGUAGE sql IMMUTABLE
  RETURN jsonb_strip_nulls(CASE
    WHEN state = 'NA404' THEN '{"outcome":"missing"}'::jsonb
    WHEN state = 'NA409' THEN jsonb_build_object('outcome', 'refused', 'message', message)
    WHEN state = 'NA412' THEN jsonb_build_object('outcome', 'stale', 'version', detail::integer)
    WHEN state = '42501' THEN jsonb_build_object('outcome', 'forbidden', 'column', nullif(column_name, ''))
    WHEN state IN ('23505', '23P01') THEN jsonb_build_object('outcome', 'conflict', 'constraint', constraint_name)
    WHEN state LIKE '23%' OR state LIKE '22%' THEN jsonb_build_object('outcome', 'invalid',
      'constraint', nullif(constraint_name, ''), 'column', nullif(column_name, ''), 'message', message) END);
SELECT nodeai.expose('nodeai.refusal(text, text, text, text, text)', '{authenticated,service_role}');

-- One write: claims the idempotency key, runs `nodeai.<body>(org, p)`, appends the audit row, keeps the answer, all or
-- nothing. The body raises to refuse (NA404, NA409 with a message, NA412 with the version as detail) and returns
-- {"version"?, "body"? (members for the answer's body), "changes"? (for the audit row)}.
CREATE FUNCTION nodeai.run_write(body text, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  idempotency jsonb := nullif(p -> 'idempotency', 'null');
  entry jsonb := nullif(p -> 'audit', 'null');
  answer jsonb := nullif(p -> 'answer', 'null');
  earlier jsonb;
  done jsonb;
  state text;
  detail text;
  constraint_name text;
  column_name text;
  message text;
  refused jsonb;
BEGIN
  IF idempotency IS NOT NULL THEN
    earlier := nodeai.idempotency_claim(org, idempotency);
    IF earlier IS NOT NULL THEN
      RETURN earlier;
    END IF;
  END IF;
  EXECUTE format('SELECT nodeai.%I($1, $2)', body) INTO done USING org, p;
  IF entry IS NOT NULL THEN
    entry := entry || jsonb_build_object('details', nullif(
      coalesce(nullif(entry -> 'details', 'null'), '{}') || coalesce(done -> 'changes', '{}'), '{}'));
    PERFORM nodeai.audit(org, entry);
  END IF;
  IF done -> 'body' IS NOT NULL THEN
    answer := jsonb_set(answer, '{body}', coalesce(nullif(answer -> 'body', 'null'), '{}') || (done -> 'body'));
  END IF;
  answer := nodeai.with_version(answer, (done ->> 'version')::integer);
  IF idempotency IS NOT NULL THEN
    PERFORM nodeai.idempotency_store(org, idempotency ->> 'key', answer);
  END IF;
  RETURN jsonb_build_object('outcome', 'done', 'answer', answer, 'version', done -> 'version');
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL, constraint_name = CONSTRAINT_NAME,
    column_name = COLUMN_NAME, message = MESSAGE_TEXT;
  refused := nodeai.refusal(state, detail, constraint_name, column_name, message);
  IF refused IS NULL THEN
    RAISE;
  END IF;
  RETURN refused;
END
$$;
SELECT nodeai.expose('nodeai.run_write(text, jsonb)', '{authenticated,service_role}');

-- A row as it is now, for the audit row; null when it is not there or not visible.
CREATE FUNCTION nodeai.row_now(name text, row_id uuid, org uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  seen jsonb;
BEGIN
  EXECUTE format('SELECT to_jsonb(t) FROM public.%I t WHERE t.id = $1 AND ($2 IS NULL OR t.org_id = $2)', name)
    INTO seen USING row_id, org;
  RETURN seen;
END
$$;
SELECT nodeai.expose('nodeai.row_now(text, uuid, uuid)', '{authenticated,service_role}');

-- The named columns of a row, for the answer.
CREATE FUNCTION nodeai.some_of(seen jsonb, names jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
  RETURN (SELECT coalesce(jsonb_object_agg(n, seen -> n), '{}') FROM jsonb_array_elements_text(names) n);
SELECT nodeai.expose('nodeai.some_of(jsonb, jsonb)', '{authenticated,service_role}');

-- The body of public.write: one row and its children; with "returning" the row's columns go into the answer. A child is a new row of another table, or with
-- "op":"update" a change of one. A child of `workflow_versions` without a number gets the row's new version.
CREATE FUNCTION nodeai.do_write(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  op text := coalesce(p ->> 'op', 'insert');
  name text := p ->> 'table';
  row_id uuid := (p ->> 'id')::uuid;
  given jsonb := coalesce(nullif(p -> 'row', 'null'), '{}');
  before jsonb;
  changes jsonb;
  version integer;
  child jsonb;
BEGIN
  IF op = 'insert' THEN
    PERFORM nodeai.insert_row(name, row_id, org, given);
    version := 1;
    changes := jsonb_build_object('after', nodeai.audit_view(given));
  ELSE
    before := nodeai.audit_view(coalesce(nodeai.row_now(name, row_id, org), '{}'));
    version := nodeai.change_row(name, op, row_id, org, given, (p ->> 'expect_version')::integer);
    changes := CASE op WHEN 'delete' THEN jsonb_build_object('before', before) ELSE (
      SELECT jsonb_build_object('before', coalesce(jsonb_object_agg(k, before -> k), '{}'),
                                'after', coalesce(jsonb_object_agg(k, v), '{}'))
      FROM jsonb_each(nodeai.audit_view(given)) AS e(k, v) WHERE before -> k IS DISTINCT FROM v) END;
  END IF;
  FOR child IN SELECT c FROM jsonb_array_elements(coalesce(nullif(p -> 'children', 'null'), '[]')) c LOOP
    IF child ->> 'op' = 'update' THEN
      PERFORM nodeai.change_row(child ->> 'table', 'update', (child ->> 'id')::uuid, org, child -> 'row',
        (child ->> 'expect_version')::integer);
      CONTINUE;
    END IF;
    IF child ->> 'table' = 'workflow_versions' AND NOT child -> 'row' ? 'number' THEN
      child := jsonb_set(child, '{row}', (child -> 'row')
        || jsonb_build_object('number', version, 'parent', nullif(version - 1, 0)));
    END IF;
    PERFORM nodeai.insert_row(child ->> 'table', (child ->> 'id')::uuid, org, child -> 'row');
  END LOOP;
  RETURN jsonb_build_object('version', version, 'changes', changes) || CASE
    WHEN op <> 'delete' AND jsonb_typeof(p -> 'returning') = 'array' THEN jsonb_build_object(
      'body', nodeai.some_of(nodeai.row_now(name, row_id, org), p -> 'returning')) ELSE '{}' END;
END
$$;
SELECT nodeai.expose('nodeai.do_write(uuid, jsonb)', '{authenticated,service_role}');

-- One write of one row. Refusals are outcomes, not errors, and leave nothing behind:
-- done | replayed | key_reused | missing | stale | conflict | refused | forbidden | invalid.
-- Times in rows are RFC 3339 texts, bytes are `\x` hex texts.
CREATE OR REPLACE FUNCTION public.write(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.run_write('do_write', p) $$;

-- A write that is more than one row: runs `nodeai.do_<p.do>`, in the same frame and with the same outcomes.
CREATE FUNCTION public.command(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.run_write('do_' || (p ->> 'do'), p) $$;
SELECT nodeai.expose('public.command(jsonb)', '{authenticated,service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY[
  'write', 'command', 'run_start', 'run_commit', 'run_abandon', 'run_cancel', 'run_heartbeat', 'run_get', 'spans_flush',
  'trace_tree', 'secrets_open', 'audit_verify', 'housekeeping']) fn;
