-- The one generic write: idempotency, version check, effect, audit row and stored answer in one transaction.

CREATE TABLE nodeai.idempotency_keys (
  org_id uuid NOT NULL,
  principal uuid NOT NULL,
  key text NOT NULL CONSTRAINT idempotency_keys_key_length CHECK (char_length(key) BETWEEN 1 AND 255),
  route text NOT NULL,
  request_hash text NOT NULL,
  answer jsonb,
  expires_at timestamptz NOT NULL DEFAULT now() + interval '24 hours',
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, principal, key)
);
CREATE INDEX idempotency_keys_expires_idx ON nodeai.idempotency_keys (expires_at);
SELECT nodeai.lock_table('nodeai.idempotency_keys');

CREATE TABLE public.audit_logs (
  id uuid PRIMARY KEY DEFAULT nodeai.uuid_v7(),
  org_id uuid NOT NULL,
  seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor_user_id uuid,
  actor_key_id uuid,
  action text NOT NULL CONSTRAINT audit_logs_action_length CHECK (char_length(action) BETWEEN 1 AND 100),
  resource_type text NOT NULL,
  resource_id text,
  request_id text,
  details jsonb,
  prev_hash text,
  hash text
);
CREATE INDEX audit_logs_org_idx ON public.audit_logs (org_id, at DESC, id DESC);
CREATE INDEX audit_logs_resource_idx ON public.audit_logs (org_id, resource_type, resource_id, at DESC);
CREATE INDEX audit_logs_actor_idx ON public.audit_logs (org_id, actor_user_id, at DESC);
CREATE INDEX audit_logs_action_idx ON public.audit_logs (org_id, action, at DESC);
-- Admins read; nobody writes but through nodeai.audit; not even service_role changes a row.
SELECT nodeai.tenant_table('public.audit_logs', 'admin', 'owner');
REVOKE UPDATE ON public.audit_logs FROM service_role;

-- The caller's claims.
CREATE FUNCTION nodeai.claims() RETURNS jsonb LANGUAGE sql STABLE
  RETURN nullif(current_setting('request.jwt.claims', true), '')::jsonb;
SELECT nodeai.expose('nodeai.claims()', '{authenticated,service_role}');

-- Whose idempotency keys: the API key's, else the user's.
CREATE FUNCTION nodeai.principal_id() RETURNS uuid LANGUAGE sql STABLE
  RETURN coalesce(nullif(nodeai.claims() ->> 'key_id', '')::uuid, nullif(nodeai.claims() ->> 'sub', '')::uuid);
SELECT nodeai.expose('nodeai.principal_id()', '{authenticated,service_role}');

-- Refuses to act in an organisation in which the caller is nobody (service_role and the owner carry no subject).
CREATE FUNCTION nodeai.require_member(org uuid) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF current_setting('role') NOT IN ('none', 'service_role')
     AND NOT coalesce(org = ANY (nodeai.orgs_with('viewer')), false) THEN
    RAISE EXCEPTION 'not a member' USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.require_member(uuid)', '{}');

-- An audit row in the caller's name.
CREATE FUNCTION nodeai.audit(org uuid, entry jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
BEGIN
  PERFORM nodeai.require_member(org);
  INSERT INTO public.audit_logs (
    org_id, actor_user_id, actor_key_id, action, resource_type, resource_id, request_id, details)
  VALUES (
    org, nullif(claims ->> 'sub', '')::uuid, nullif(claims ->> 'key_id', '')::uuid, entry ->> 'action',
    entry ->> 'resource_type', entry ->> 'resource_id', entry ->> 'request_id', entry -> 'details');
END
$$;
SELECT nodeai.expose('nodeai.audit(uuid, jsonb)', '{authenticated,service_role}');

-- Claims an idempotency key. Null when it is ours now, else {"outcome":"replayed","answer"} or {"outcome":"key_reused"}.
-- A concurrent duplicate waits at the unique index until the first has committed, and then replays.
CREATE FUNCTION nodeai.idempotency_claim(org uuid, claim jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  me uuid := nodeai.principal_id();
  found_row nodeai.idempotency_keys;
BEGIN
  PERFORM nodeai.require_member(org);
  INSERT INTO nodeai.idempotency_keys AS i (org_id, principal, key, route, request_hash)
    VALUES (org, me, claim ->> 'key', coalesce(claim ->> 'route', ''), claim ->> 'request_hash')
  ON CONFLICT (org_id, principal, key) DO UPDATE
    SET route = excluded.route, request_hash = excluded.request_hash, answer = NULL,
        created_at = excluded.created_at, expires_at = excluded.expires_at
    WHERE i.expires_at <= now();
  IF FOUND THEN
    RETURN NULL;
  END IF;
  SELECT * INTO found_row FROM nodeai.idempotency_keys i
    WHERE i.org_id = org AND i.principal = me AND i.key = claim ->> 'key';
  IF found_row.request_hash IS DISTINCT FROM claim ->> 'request_hash'
     OR found_row.route <> coalesce(claim ->> 'route', '') THEN
    RETURN '{"outcome":"key_reused"}';
  END IF;
  RETURN jsonb_build_object('outcome', 'replayed', 'answer', found_row.answer);
END
$$;
SELECT nodeai.expose('nodeai.idempotency_claim(uuid, jsonb)', '{authenticated,service_role}');

-- Keeps the answer of a claimed key, for whoever repeats the request.
CREATE FUNCTION nodeai.idempotency_store(org uuid, used_key text, given jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM nodeai.require_member(org);
  UPDATE nodeai.idempotency_keys i SET answer = given
    WHERE i.org_id = org AND i.principal = nodeai.principal_id() AND i.key = used_key AND i.answer IS NULL;
END
$$;
SELECT nodeai.expose('nodeai.idempotency_store(uuid, text, jsonb)', '{authenticated,service_role}');

-- The write list's entry of a table; raises when `columns` holds one that is not in it.
CREATE FUNCTION nodeai.write_rule(name text, op text, columns text[]) RETURNS nodeai.writable_tables
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  rule nodeai.writable_tables;
  refused text;
BEGIN
  SELECT * INTO rule FROM nodeai.writable_tables w WHERE w.table_name = name;
  IF rule.table_name IS NULL OR op NOT IN ('insert', 'update', 'delete') OR (op = 'delete' AND NOT rule.deletable) THEN
    RAISE EXCEPTION 'not writable' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT c INTO refused FROM unnest(columns) c
    WHERE NOT c = ANY (CASE op WHEN 'insert' THEN rule.insertable ELSE rule.updatable END) LIMIT 1;
  IF refused IS NOT NULL THEN
    RAISE EXCEPTION 'column not writable' USING ERRCODE = 'insufficient_privilege', COLUMN = refused;
  END IF;
  RETURN rule;
END
$$;
SELECT nodeai.expose('nodeai.write_rule(text, text, text[])', '{authenticated,service_role}');

-- Inserts one row with exactly the columns that it names.
CREATE FUNCTION nodeai.insert_row(name text, row_id uuid, org uuid, given jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  rule nodeai.writable_tables := nodeai.write_rule(name, 'insert', ARRAY(SELECT jsonb_object_keys(given)));
  full_row jsonb := given || jsonb_build_object('org_id', org);
  columns text;
BEGIN
  IF rule.has_id AND row_id IS NOT NULL THEN
    full_row := full_row || jsonb_build_object('id', row_id);
  END IF;
  IF rule.has_created_by THEN
    full_row := full_row || jsonb_build_object('created_by', auth.uid());
  END IF;
  SELECT string_agg(quote_ident(k), ', ' ORDER BY k) INTO columns FROM jsonb_object_keys(full_row) k;
  EXECUTE format('INSERT INTO public.%1$I (%2$s) SELECT %2$s FROM jsonb_populate_record(NULL::public.%1$I, $1)',
    name, columns) USING full_row;
END
$$;
SELECT nodeai.expose('nodeai.insert_row(text, uuid, uuid, jsonb)', '{authenticated,service_role}');

-- Updates or deletes one row at the expected version. Returns the new version (null where the table has none).
-- Raises NA404 when the row is not there (or not visible), NA412 with the current version when it is another.
CREATE FUNCTION nodeai.change_row(name text, op text, row_id uuid, org uuid, given jsonb, expected integer)
RETURNS integer LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  rule nodeai.writable_tables := nodeai.write_rule(name, op, ARRAY(SELECT jsonb_object_keys(given)));
  place text := 'id = $1 AND ($2 IS NULL OR org_id = $2)';
  guard text := CASE WHEN rule.has_version THEN ' AND ($3 IS NULL OR version = $3)' ELSE ' AND ($3 IS NULL)' END;
  sets text := '';
  verb text;
  touched integer;
  new_version integer;
BEGIN
  IF rule.soft_delete THEN
    place := place || ' AND deleted_at IS NULL';
  END IF;
  IF op = 'delete' AND NOT rule.soft_delete THEN
    verb := format('DELETE FROM public.%I WHERE %s', name, place || guard);
  ELSE
    SELECT string_agg(format('%1$I = (r.given_row).%1$I, ', k), '' ORDER BY k) INTO sets FROM jsonb_object_keys(given) k
      WHERE k <> 'updated_at';
    sets := coalesce(sets, '')
      || CASE WHEN op = 'delete' THEN 'deleted_at = now(), ' ELSE '' END
      || CASE WHEN rule.has_version THEN 'version = version + 1, ' ELSE '' END
      || 'updated_at = coalesce((r.given_row).updated_at, now())';
    verb := format(
      'UPDATE public.%1$I SET %2$s FROM (SELECT jsonb_populate_record(NULL::public.%1$I, $4) AS given_row) r WHERE %3$s',
      name, sets, place || guard);
  END IF;
  IF rule.has_version THEN
    EXECUTE verb || ' RETURNING version' INTO new_version USING row_id, org, expected, given;
    touched := CASE WHEN new_version IS NULL THEN 0 ELSE 1 END;
  ELSE
    EXECUTE verb USING row_id, org, expected, given;
    GET DIAGNOSTICS touched = ROW_COUNT;
  END IF;
  IF touched = 0 THEN
    EXECUTE format('SELECT %s FROM public.%I WHERE %s', CASE WHEN rule.has_version THEN 'version' ELSE '0' END, name, place)
      INTO new_version USING row_id, org;
    IF new_version IS NULL THEN
      RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
    ELSIF rule.has_version AND new_version <> expected THEN
      RAISE EXCEPTION 'stale' USING ERRCODE = 'NA412', DETAIL = new_version::text;
    END IF;
    RAISE EXCEPTION 'visible, not writable' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN new_version;
END
$$;
SELECT nodeai.expose('nodeai.change_row(text, text, uuid, uuid, jsonb, integer)', '{authenticated,service_role}');

-- Puts a version into the body of a stored answer that has one.
CREATE FUNCTION nodeai.with_version(answer jsonb, version integer) RETURNS jsonb
LANGUAGE sql IMMUTABLE
  RETURN CASE WHEN version IS NOT NULL AND answer #> '{body,version}' IS NOT NULL
              THEN jsonb_set(answer, '{body,version}', to_jsonb(version)) ELSE answer END;
SELECT nodeai.expose('nodeai.with_version(jsonb, integer)', '{authenticated,service_role}');

-- One write of one row and its children. Refusals are outcomes, not errors, and leave nothing behind:
-- done | replayed | key_reused | missing | stale | conflict | forbidden | invalid.
-- Times in rows are RFC 3339 texts, bytes are `\x` hex texts. A child of `workflow_versions` without a number gets
-- the row's new version.
CREATE FUNCTION public.write(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  op text := coalesce(p ->> 'op', 'insert');
  given jsonb := coalesce(nullif(p -> 'row', 'null'), '{}');
  idempotency jsonb := nullif(p -> 'idempotency', 'null');
  entry jsonb := nullif(p -> 'audit', 'null');
  answer jsonb := nullif(p -> 'answer', 'null');
  version integer;
  child jsonb;
  earlier jsonb;
  constraint_name text;
  column_name text;
  detail text;
BEGIN
  IF idempotency IS NOT NULL THEN
    earlier := nodeai.idempotency_claim(org, idempotency);
    IF earlier IS NOT NULL THEN
      RETURN earlier;
    END IF;
  END IF;
  IF op = 'insert' THEN
    PERFORM nodeai.insert_row(p ->> 'table', (p ->> 'id')::uuid, org, given);
    version := 1;
  ELSE
    version := nodeai.change_row(p ->> 'table', op, (p ->> 'id')::uuid, org, given, (p ->> 'expect_version')::integer);
  END IF;
  FOR child IN SELECT c FROM jsonb_array_elements(coalesce(nullif(p -> 'children', 'null'), '[]')) c LOOP
    IF child ->> 'table' = 'workflow_versions' AND NOT child -> 'row' ? 'number' THEN
      child := jsonb_set(child, '{row}', (child -> 'row')
        || jsonb_build_object('number', version, 'parent', nullif(version - 1, 0)));
    END IF;
    PERFORM nodeai.insert_row(child ->> 'table', (child ->> 'id')::uuid, org, child -> 'row');
  END LOOP;
  IF entry IS NOT NULL THEN
    PERFORM nodeai.audit(org, entry);
  END IF;
  answer := nodeai.with_version(answer, version);
  IF idempotency IS NOT NULL THEN
    PERFORM nodeai.idempotency_store(org, idempotency ->> 'key', answer);
  END IF;
  RETURN jsonb_build_object('outcome', 'done', 'answer', answer, 'version', version);
EXCEPTION
  WHEN SQLSTATE 'NA404' THEN
    RETURN '{"outcome":"missing"}';
  WHEN SQLSTATE 'NA412' THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN jsonb_build_object('outcome', 'stale', 'version', detail::integer);
  WHEN insufficient_privilege THEN
    GET STACKED DIAGNOSTICS column_name = COLUMN_NAME;
    RETURN jsonb_strip_nulls(jsonb_build_object('outcome', 'forbidden', 'column', nullif(column_name, '')));
  WHEN unique_violation OR exclusion_violation THEN
    GET STACKED DIAGNOSTICS constraint_name = CONSTRAINT_NAME;
    RETURN jsonb_build_object('outcome', 'conflict', 'constraint', constraint_name);
  WHEN integrity_constraint_violation OR data_exception THEN
    GET STACKED DIAGNOSTICS constraint_name = CONSTRAINT_NAME, column_name = COLUMN_NAME, detail = MESSAGE_TEXT;
    RETURN jsonb_strip_nulls(jsonb_build_object('outcome', 'invalid', 'constraint', nullif(constraint_name, ''),
      'column', nullif(column_name, ''), 'message', detail));
END
$$;
SELECT nodeai.expose('public.write(jsonb)', '{authenticated,service_role}');

-- One function call in the name of `claims`, in one statement: for work that goes on after its connection has gone.
-- Role and claims end with the transaction.
CREATE FUNCTION nodeai.act(claims text, role text, fn text, args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  answer jsonb;
BEGIN
  IF act.role NOT IN ('authenticated', 'service_role') OR NOT fn = ANY (ARRAY[
    'write', 'run_start', 'run_commit', 'run_abandon', 'run_cancel', 'run_heartbeat', 'run_get', 'spans_flush', 'trace_tree',
    'housekeeping']) THEN
    RAISE EXCEPTION 'not callable: %', fn USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM set_config('request.jwt.claims', act.claims, true), set_config('role', act.role, true);
  EXECUTE format('SELECT public.%I($1)', fn) INTO answer USING args;
  RETURN answer;
END
$$;
SELECT nodeai.expose('nodeai.act(text, text, text, jsonb)', '{nodeai_app}');
