-- The vault's versions, reveals and the rotation of the master key. The database never sees a value.

-- A version has an id of its own: it is drawn before the number is known, and the ciphertext is bound to it.
ALTER TABLE public.secret_versions ADD COLUMN id uuid NOT NULL DEFAULT nodeai.uuid_v7()
  CONSTRAINT secret_versions_id_unique UNIQUE;
ALTER TABLE public.secrets_vault ADD COLUMN last_number integer NOT NULL DEFAULT 1;
UPDATE nodeai.writable_tables SET insertable = insertable || '{id}'::text[] WHERE table_name = 'secret_versions';
UPDATE nodeai.writable_tables SET insertable = insertable || '{created_at,updated_at}'::text[],
  updatable = '{description,hosts,updated_at}' WHERE table_name = 'secrets_vault';
GRANT INSERT (created_at, updated_at), UPDATE (last_number) ON public.secrets_vault TO authenticated;
-- What a version is, without its ciphertext.
GRANT SELECT (secret_id, number, id, org_id, key_version, created_by, created_at) ON public.secret_versions TO authenticated;

-- A new version becomes the current one. {"secret_id","expect_version"?,"version":{id, key_version, wrapped_key, nonce,
-- ciphertext}} (bytes as `\x` hex).
CREATE FUNCTION nodeai.do_secret_version(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  secret uuid := (args ->> 'secret_id')::uuid;
  expected integer := (args ->> 'expect_version')::integer;
  s public.secrets_vault;
BEGIN
  s := nodeai.touch_secret(org, secret, expected);
  UPDATE public.secrets_vault v SET last_number = v.last_number + 1, current = v.last_number + 1,
    version = v.version + 1, updated_at = clock_timestamp()
    WHERE v.id = secret RETURNING * INTO s;
  PERFORM nodeai.insert_row('secret_versions', NULL, org,
    (args -> 'version') || jsonb_build_object('secret_id', secret, 'number', s.current));
  RETURN jsonb_build_object('version', s.version, 'body', to_jsonb(s) - ARRAY['org_id', 'last_number'],
    'changes', jsonb_build_object('number', s.current));
END
$$;
SELECT nodeai.expose('nodeai.do_secret_version(uuid, jsonb)', '{authenticated}');

-- The secret, locked for a change; refuses as public.write does.
CREATE FUNCTION nodeai.touch_secret(org uuid, secret uuid, expected integer) RETURNS public.secrets_vault
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  s public.secrets_vault;
BEGIN
  SELECT * INTO s FROM public.secrets_vault v WHERE v.id = secret AND v.org_id = org;
  IF s.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  IF NOT coalesce(org = ANY (nodeai.orgs_with('admin')), false) THEN
    RAISE EXCEPTION 'not an admin' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT * INTO s FROM public.secrets_vault v WHERE v.id = secret FOR UPDATE;
  IF expected IS NOT NULL AND s.version <> expected THEN
    RAISE EXCEPTION 'stale' USING ERRCODE = 'NA412', DETAIL = s.version::text;
  END IF;
  RETURN s;
END
$$;
SELECT nodeai.expose('nodeai.touch_secret(uuid, uuid, integer)', '{authenticated}');

-- Makes an earlier version the current one. {"secret_id","expect_version"?,"number"}
CREATE FUNCTION nodeai.do_secret_rollback(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  secret uuid := (args ->> 'secret_id')::uuid;
  wanted integer := (args ->> 'number')::integer;
  s public.secrets_vault := nodeai.touch_secret(org, secret, (args ->> 'expect_version')::integer);
  was integer := s.current;
BEGIN
  IF NOT EXISTS (SELECT FROM public.secret_versions v WHERE v.secret_id = secret AND v.number = wanted) THEN
    RAISE EXCEPTION 'this secret has no version %', wanted USING ERRCODE = 'NA409';
  END IF;
  UPDATE public.secrets_vault v SET current = wanted, version = v.version + 1, updated_at = clock_timestamp()
    WHERE v.id = secret RETURNING * INTO s;
  RETURN jsonb_build_object('version', s.version, 'body', to_jsonb(s) - ARRAY['org_id', 'last_number'],
    'changes', jsonb_build_object('from_number', was, 'to_number', wanted));
END
$$;
SELECT nodeai.expose('nodeai.do_secret_rollback(uuid, jsonb)', '{authenticated}');

-- One version as its ciphertext travels.
CREATE FUNCTION nodeai.sealed_json(s public.secret_versions) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object('secret_id', s.secret_id, 'number', s.number, 'version_id', s.id, 'org_id', s.org_id,
    'key_version', s.key_version, 'wrapped_key', encode(s.wrapped_key, 'hex'), 'nonce', encode(s.nonce, 'hex'),
    'ciphertext', encode(s.ciphertext, 'hex'));
SELECT nodeai.expose('nodeai.sealed_json(public.secret_versions)', '{}');

-- The ciphertexts of secrets by name, for a member who may run; one log row each, in this very transaction: no row,
-- no ciphertext. {"org_id","names":[…],"environment"?,"purpose","execution_id"?,"node_id"?} → a list of {"name",
-- "hosts", …sealed_json}.
CREATE OR REPLACE FUNCTION nodeai.open_secrets(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  opened jsonb;
BEGIN
  IF NOT coalesce(org = ANY (nodeai.orgs_with('editor')), false) THEN
    RAISE EXCEPTION 'not an editor' USING ERRCODE = 'insufficient_privilege';
  END IF;
  WITH wanted AS (
    SELECT DISTINCT ON (v.name) v.name, v.hosts, s AS sealed
    FROM public.secrets_vault v
    JOIN public.secret_versions s ON s.secret_id = v.id AND s.number = v.current
    WHERE v.org_id = org AND v.name IN (SELECT jsonb_array_elements_text(p -> 'names'))
      AND v.environment IN ('', coalesce(p ->> 'environment', ''))
    ORDER BY v.name, v.environment DESC
  ), logged AS (
    INSERT INTO public.secret_access_log (org_id, secret_id, number, user_id, key_id, execution_id, node_id, purpose)
    SELECT org, (w.sealed).secret_id, (w.sealed).number, auth.uid(), nullif(nodeai.claims() ->> 'key_id', '')::uuid,
      (p ->> 'execution_id')::uuid, p ->> 'node_id', coalesce(p ->> 'purpose', 'run')
    FROM wanted w
    RETURNING secret_id
  )
  SELECT coalesce(jsonb_agg(nodeai.sealed_json(w.sealed)
      || jsonb_build_object('id', (w.sealed).secret_id, 'name', w.name, 'hosts', w.hosts) ORDER BY w.name), '[]')
    INTO opened FROM wanted w JOIN logged l ON l.secret_id = (w.sealed).secret_id;
  RETURN opened;
END
$$;

-- One secret's ciphertext for an admin who wants to see it, with its log and audit rows. {"org_id","secret_id",
-- "number"?,"request_id","reason"?} → {"name", …sealed_json} or null.
CREATE FUNCTION nodeai.reveal_secret(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  secret uuid := (p ->> 'secret_id')::uuid;
  v public.secrets_vault;
  s public.secret_versions;
BEGIN
  IF NOT coalesce(org = ANY (nodeai.orgs_with('admin')), false) THEN
    RAISE EXCEPTION 'not an admin' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT * INTO v FROM public.secrets_vault x WHERE x.id = secret AND x.org_id = org;
  SELECT * INTO s FROM public.secret_versions x
    WHERE x.secret_id = v.id AND x.number = coalesce((p ->> 'number')::integer, v.current);
  IF s.id IS NULL THEN
    RETURN NULL;
  END IF;
  INSERT INTO public.secret_access_log (org_id, secret_id, number, user_id, key_id, purpose)
    VALUES (org, secret, s.number, auth.uid(), nullif(nodeai.claims() ->> 'key_id', '')::uuid, 'reveal');
  PERFORM nodeai.audit(org, jsonb_build_object('action', 'secret.revealed', 'resource_type', 'secret',
    'resource_id', secret, 'request_id', p ->> 'request_id',
    'details', jsonb_strip_nulls(jsonb_build_object('name', v.name, 'number', s.number, 'reason', p ->> 'reason'))));
  RETURN nodeai.sealed_json(s) || jsonb_build_object('name', v.name);
END
$$;
SELECT nodeai.expose('nodeai.reveal_secret(jsonb)', '{authenticated}');

CREATE FUNCTION public.secret_reveal(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.reveal_secret(p) $$;
SELECT nodeai.expose('public.secret_reveal(jsonb)', '{authenticated}');

-- Rotation of the master key ---------------------------------------------------------------------------------------
-- Whoever re-wraps gets wrapped data keys and never a ciphertext: rotation reads no secret.

-- What other master keys than `key_version` wrap, in the caller's organisation (all of them for the owner, who has no
-- claims). {"org_id"?,"key_version","limit"} → {"remaining","rows":[{kind, id, org_id, record_id, version, key_version,
-- wrapped_key}]}.
CREATE FUNCTION nodeai.stale_keys(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  newest integer := (p ->> 'key_version')::integer;
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  found jsonb;
  remaining bigint;
BEGIN
  IF nodeai.claims() IS NOT NULL AND NOT coalesce(org = ANY (nodeai.orgs_with('admin')), false) THEN
    RAISE EXCEPTION 'not an admin' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT (SELECT count(*) FROM public.secret_versions s
          WHERE s.key_version <> newest AND (org IS NULL OR s.org_id = org))
       + (SELECT count(*) FROM public.connections c
          WHERE c.key_version <> newest AND (org IS NULL OR c.org_id = org)) INTO remaining;
  SELECT coalesce(jsonb_agg(to_jsonb(r) || jsonb_build_object('wrapped_key', encode(r.wrapped_key, 'hex'))), '[]')
    INTO found
    FROM (
      (SELECT 'secret' AS kind, s.id, s.org_id, s.secret_id AS record_id, s.id::text AS version, s.key_version, s.wrapped_key
       FROM public.secret_versions s WHERE s.key_version <> newest AND (org IS NULL OR s.org_id = org)
       ORDER BY s.id LIMIT (p ->> 'limit')::integer)
      UNION ALL
      (SELECT 'connection', c.id, c.org_id, c.id, '', c.key_version, c.wrapped_key
       FROM public.connections c WHERE c.key_version <> newest AND (org IS NULL OR c.org_id = org)
       ORDER BY c.id LIMIT (p ->> 'limit')::integer)
      LIMIT (p ->> 'limit')::integer) r;
  RETURN jsonb_build_object('remaining', remaining, 'rows', found);
END
$$;
SELECT nodeai.expose('nodeai.stale_keys(jsonb)', '{authenticated}');

CREATE FUNCTION public.secrets_stale(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT nodeai.stale_keys(p) $$;
SELECT nodeai.expose('public.secrets_stale(jsonb)', '{authenticated}');

-- Puts re-wrapped data keys in place, each only where the old one still is: whoever comes second changes nothing.
-- {"org_id"?,"rows":[{kind, id, from_version, key_version, wrapped_key}]} → {"changed"}.
CREATE FUNCTION nodeai.rewrap_keys(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  n bigint;
  m bigint;
BEGIN
  IF nodeai.claims() IS NOT NULL AND NOT coalesce(org = ANY (nodeai.orgs_with('admin')), false) THEN
    RAISE EXCEPTION 'not an admin' USING ERRCODE = 'insufficient_privilege';
  END IF;
  UPDATE public.secret_versions s SET key_version = r.key_version, wrapped_key = decode(r.wrapped_key, 'hex')
    FROM jsonb_to_recordset(p -> 'rows')
      AS r(kind text, id uuid, from_version integer, key_version integer, wrapped_key text)
    WHERE r.kind = 'secret' AND s.id = r.id AND s.key_version = r.from_version AND (org IS NULL OR s.org_id = org);
  GET DIAGNOSTICS n = ROW_COUNT;
  UPDATE public.connections c SET key_version = r.key_version, wrapped_key = decode(r.wrapped_key, 'hex')
    FROM jsonb_to_recordset(p -> 'rows')
      AS r(kind text, id uuid, from_version integer, key_version integer, wrapped_key text)
    WHERE r.kind = 'connection' AND c.id = r.id AND c.key_version = r.from_version AND (org IS NULL OR c.org_id = org);
  GET DIAGNOSTICS m = ROW_COUNT;
  RETURN jsonb_build_object('changed', n + m);
END
$$;
SELECT nodeai.expose('nodeai.rewrap_keys(jsonb)', '{authenticated}');

CREATE FUNCTION public.secrets_rewrap(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.rewrap_keys(p) $$;
SELECT nodeai.expose('public.secrets_rewrap(jsonb)', '{authenticated}');

SELECT nodeai.allow_call('secret_reveal'), nodeai.allow_call('secrets_stale'), nodeai.allow_call('secrets_rewrap');

-- Nothing but its audit row: for what was refused and must not pass unseen.
CREATE FUNCTION nodeai.do_note(org uuid, p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$ SELECT '{}'::jsonb $$;
SELECT nodeai.expose('nodeai.do_note(uuid, jsonb)', '{authenticated}');
