-- Connected accounts: providers by configuration, one-time states of the code flow, tokens that are refreshed by one
-- caller at a time. Tokens are sealed by the functions; a provider's client secret is a secret of the vault, by name.

CREATE TABLE public.oauth_providers (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT oauth_providers_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  slug text NOT NULL CONSTRAINT oauth_providers_slug_format CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text NOT NULL CONSTRAINT oauth_providers_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  issuer text,
  -- Whether the provider promises `iss` in its answers (RFC 9207).
  issuer_in_response boolean NOT NULL DEFAULT false,
  authorization_endpoint text NOT NULL,
  token_endpoint text NOT NULL,
  revocation_endpoint text,
  userinfo_endpoint text,
  token_auth text NOT NULL DEFAULT 'basic' CONSTRAINT oauth_providers_token_auth CHECK (token_auth IN ('basic', 'post', 'none')),
  revocation text NOT NULL DEFAULT 'rfc7009'
    CONSTRAINT oauth_providers_revocation CHECK (revocation IN ('rfc7009', 'github', 'bearer', 'json', 'none')),
  client_id text NOT NULL CONSTRAINT oauth_providers_client_id_length CHECK (char_length(client_id) BETWEEN 1 AND 500),
  client_secret text CONSTRAINT oauth_providers_client_secret_name CHECK (client_secret ~ '^[A-Za-z_][A-Za-z0-9_]{0,127}$'),
  scopes text[] NOT NULL DEFAULT '{}',
  authorize_parameters jsonb NOT NULL DEFAULT '{}',
  redirect_uris text[] NOT NULL,
  hosts text[] NOT NULL,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT oauth_providers_slug_unique UNIQUE (org_id, slug)
);
SELECT nodeai.tenant_table('public.oauth_providers', 'viewer', 'admin');
SELECT nodeai.allow_write('oauth_providers',
  '{slug,name,issuer,issuer_in_response,authorization_endpoint,token_endpoint,revocation_endpoint,userinfo_endpoint,token_auth,revocation,client_id,client_secret,scopes,authorize_parameters,redirect_uris,hosts}',
  '{name,issuer,issuer_in_response,authorization_endpoint,token_endpoint,revocation_endpoint,userinfo_endpoint,token_auth,revocation,client_id,client_secret,scopes,authorize_parameters,redirect_uris,hosts}');

-- Where the flow leads: the provider, and the connection that is connected anew.
ALTER TABLE public.oauth_states
  ADD COLUMN provider_id uuid CONSTRAINT oauth_states_provider REFERENCES public.oauth_providers (id) ON DELETE CASCADE,
  ADD COLUMN connection_id uuid CONSTRAINT oauth_states_connection REFERENCES public.connections (id) ON DELETE CASCADE,
  ADD COLUMN scopes text[] NOT NULL DEFAULT '{}',
  ADD COLUMN name text CONSTRAINT oauth_states_name_length CHECK (char_length(name) <= 200);
CREATE INDEX oauth_states_provider_idx ON public.oauth_states (provider_id);
CREATE INDEX oauth_states_connection_idx ON public.oauth_states (connection_id);
SELECT nodeai.belongs_to('public.oauth_states', 'oauth_providers', 'provider_id');
SELECT nodeai.belongs_to('public.oauth_states', 'connections', 'connection_id');
UPDATE nodeai.writable_tables SET insertable = insertable || '{provider_id,connection_id,scopes,name}'::text[],
  updatable = '{}', deletable = false WHERE table_name = 'oauth_states';
GRANT INSERT (provider_id, connection_id, scopes, name) ON public.oauth_states TO authenticated;
-- A state is taken by nodeai.take_oauth_state alone.
REVOKE SELECT, UPDATE, DELETE ON public.oauth_states FROM authenticated;
REVOKE UPDATE (used_at, updated_at) ON public.oauth_states FROM authenticated;

-- A connection is its owner's; a shared one may be used (not changed) by the organisation's editors.
ALTER TABLE public.connections
  ADD COLUMN provider_id uuid CONSTRAINT connections_provider REFERENCES public.oauth_providers (id),
  ADD COLUMN shared boolean NOT NULL DEFAULT false,
  ADD COLUMN last_error text;
CREATE INDEX connections_provider_idx ON public.connections (provider_id);
SELECT nodeai.belongs_to('public.connections', 'oauth_providers', 'provider_id');
CREATE POLICY shared_reads ON public.connections FOR SELECT TO authenticated
  USING (shared AND org_id = ANY ((SELECT nodeai.orgs_with('viewer'))::uuid[]));
-- Ciphertexts are readable through nodeai.open_connection alone, and written by the functions below.
DELETE FROM nodeai.writable_tables WHERE table_name = 'connections';
REVOKE ALL ON public.connections FROM authenticated;
GRANT SELECT (id, org_id, user_id, provider_id, provider, account, name, scopes, status, shared, last_error,
  token_expires_at, version, created_by, created_at, updated_at) ON public.connections TO authenticated;

-- Openings of connections stand in the same log as those of secrets.
ALTER TABLE public.secret_access_log
  ALTER COLUMN secret_id DROP NOT NULL,
  ALTER COLUMN number DROP NOT NULL,
  ADD COLUMN connection_id uuid,
  ADD CONSTRAINT secret_access_log_what CHECK ((secret_id IS NULL) <> (connection_id IS NULL));
CREATE INDEX secret_access_log_connection_idx ON public.secret_access_log (connection_id, at DESC)
  WHERE connection_id IS NOT NULL;

-- What the API shows of a connection.
CREATE FUNCTION nodeai.connection_shown(c public.connections) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(c) - ARRAY['org_id', 'key_version', 'wrapped_key', 'nonce', 'ciphertext', 'refreshing_until'];
SELECT nodeai.expose('nodeai.connection_shown(public.connections)', '{}');

-- Takes a state once. {"org_id"?,"state_hash","idempotency"?,"request_id"?} → {"outcome": taken (with state and provider) |
-- replayed (with answer) | key_reused | missing | foreign | used | expired}. What is an attack leaves an audit row.
CREATE FUNCTION nodeai.take_oauth_state(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  claim jsonb := nullif(p -> 'idempotency', 'null');
  s public.oauth_states;
  k nodeai.idempotency_keys;
  verdict text;
BEGIN
  IF NOT coalesce(org = ANY (nodeai.orgs_with('editor')), false) THEN
    RAISE EXCEPTION 'not an editor' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF claim IS NOT NULL THEN
    SELECT * INTO k FROM nodeai.idempotency_keys i
      WHERE i.org_id = org AND i.principal = nodeai.principal_id() AND i.key = claim ->> 'key' AND i.expires_at > now();
    IF k.key IS NOT NULL AND k.request_hash = claim ->> 'request_hash' AND k.route = claim ->> 'route' THEN
      RETURN jsonb_build_object('outcome', 'replayed', 'answer', k.answer);
    ELSIF k.key IS NOT NULL THEN
      RETURN '{"outcome":"key_reused"}';
    END IF;
  END IF;
  SELECT * INTO s FROM public.oauth_states o WHERE o.state_hash = p ->> 'state_hash' FOR UPDATE;
  verdict := CASE WHEN s.id IS NULL THEN 'missing'
    WHEN s.user_id IS DISTINCT FROM auth.uid() OR s.org_id <> org THEN 'foreign'
    WHEN s.used_at IS NOT NULL THEN 'used'
    WHEN s.expires_at <= clock_timestamp() THEN 'expired'
    ELSE 'taken' END;
  IF verdict IN ('foreign', 'used') THEN
    PERFORM nodeai.audit(org, jsonb_build_object('action', 'oauth.state_refused', 'resource_type', 'oauth_state',
      'resource_id', s.id, 'request_id', p ->> 'request_id', 'details', jsonb_build_object('reason', verdict)));
  END IF;
  IF verdict <> 'taken' THEN
    RETURN jsonb_build_object('outcome', verdict);
  END IF;
  UPDATE public.oauth_states o SET used_at = clock_timestamp(), updated_at = clock_timestamp() WHERE o.id = s.id;
  RETURN jsonb_build_object('outcome', verdict,
    'state', jsonb_build_object('id', s.id, 'redirect_uri', s.redirect_uri, 'name', s.name,
      'scopes', s.scopes, 'connection_id', s.connection_id, 'verifier', encode(s.verifier_ciphertext, 'hex')),
    'provider', (SELECT to_jsonb(o) FROM public.oauth_providers o WHERE o.id = s.provider_id));
END
$$;
SELECT nodeai.expose('nodeai.take_oauth_state(jsonb)', '{authenticated}');

CREATE FUNCTION public.oauth_take_state(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.take_oauth_state(p) $$;
SELECT nodeai.expose('public.oauth_take_state(jsonb)', '{authenticated}');

-- Stores a new connection, or connects one anew (same id). {"id","provider_id","account","name"?,"scopes","sealed":
-- {key_version, wrapped_key, nonce, ciphertext} (bytes as hex),"token_expires_us"?}
CREATE FUNCTION nodeai.do_connection_store(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  sealed jsonb := args -> 'sealed';
  c public.connections;
BEGIN
  IF NOT coalesce(org = ANY (nodeai.orgs_with('editor')), false) THEN
    RAISE EXCEPTION 'not an editor' USING ERRCODE = 'insufficient_privilege';
  END IF;
  INSERT INTO public.connections AS x (id, org_id, user_id, provider_id, provider, account, name, scopes, key_version,
    wrapped_key, nonce, ciphertext, token_expires_at, created_by)
  SELECT (args ->> 'id')::uuid, org, auth.uid(), o.id, o.slug, coalesce(args ->> 'account', ''), args ->> 'name',
    ARRAY(SELECT jsonb_array_elements_text(args -> 'scopes')), (sealed ->> 'key_version')::integer,
    decode(sealed ->> 'wrapped_key', 'hex'), decode(sealed ->> 'nonce', 'hex'), decode(sealed ->> 'ciphertext', 'hex'),
    nodeai.from_us((args ->> 'token_expires_us')::bigint), auth.uid()
  FROM public.oauth_providers o WHERE o.id = (args ->> 'provider_id')::uuid AND o.org_id = org
  ON CONFLICT (id) DO UPDATE SET account = excluded.account, name = coalesce(excluded.name, x.name),
    scopes = excluded.scopes, key_version = excluded.key_version, wrapped_key = excluded.wrapped_key,
    nonce = excluded.nonce, ciphertext = excluded.ciphertext, token_expires_at = excluded.token_expires_at,
    status = 'active', last_error = NULL, refreshing_until = NULL, version = x.version + 1,
    updated_at = clock_timestamp()
    WHERE x.org_id = org AND x.user_id = auth.uid()
  RETURNING * INTO c;
  IF c.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN jsonb_build_object('version', c.version, 'body', nodeai.connection_shown(c), 'changes',
    jsonb_build_object('provider', c.provider, 'account', c.account, 'scopes', c.scopes));
END
$$;
SELECT nodeai.expose('nodeai.do_connection_store(uuid, jsonb)', '{authenticated}');

-- The caller's own connection, locked; refuses as public.write does.
CREATE FUNCTION nodeai.own_connection(org uuid, args jsonb) RETURNS public.connections
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  c public.connections;
  expected integer := (args ->> 'expect_version')::integer;
BEGIN
  SELECT * INTO c FROM public.connections x
    WHERE x.id = (args ->> 'id')::uuid AND x.org_id = org AND (x.user_id = auth.uid() OR x.shared) FOR UPDATE;
  IF c.id IS NULL OR NOT coalesce(org = ANY (nodeai.orgs_with('viewer')), false) THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF c.user_id <> auth.uid() OR NOT coalesce(org = ANY (nodeai.orgs_with('editor')), false) THEN
    RAISE EXCEPTION 'not the owner' USING ERRCODE = 'insufficient_privilege';
  ELSIF expected IS NOT NULL AND c.version <> expected THEN
    RAISE EXCEPTION 'stale' USING ERRCODE = 'NA412', DETAIL = c.version::text;
  END IF;
  RETURN c;
END
$$;
SELECT nodeai.expose('nodeai.own_connection(uuid, jsonb)', '{}');

-- {"id","expect_version"?,"name"?,"shared"?}
CREATE FUNCTION nodeai.do_connection_update(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  was public.connections := nodeai.own_connection(org, args);
  c public.connections;
BEGIN
  UPDATE public.connections x SET version = x.version + 1, updated_at = clock_timestamp(),
    name = CASE WHEN args ? 'name' THEN args ->> 'name' ELSE x.name END,
    shared = coalesce((args ->> 'shared')::boolean, x.shared)
    WHERE x.id = was.id RETURNING * INTO c;
  RETURN jsonb_build_object('version', c.version, 'body', nodeai.connection_shown(c), 'changes', jsonb_build_object(
    'before', jsonb_build_object('name', was.name, 'shared', was.shared),
    'after', jsonb_build_object('name', c.name, 'shared', c.shared)));
END
$$;
SELECT nodeai.expose('nodeai.do_connection_update(uuid, jsonb)', '{authenticated}');

-- {"id","expect_version"?}
CREATE FUNCTION nodeai.do_connection_remove(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  c public.connections := nodeai.own_connection(org, p -> 'args');
BEGIN
  DELETE FROM public.connections x WHERE x.id = c.id;
  RETURN jsonb_build_object('changes', jsonb_build_object('provider', c.provider, 'account', c.account));
END
$$;
SELECT nodeai.expose('nodeai.do_connection_remove(uuid, jsonb)', '{authenticated}');

-- {"id","expect_version"?}
CREATE FUNCTION nodeai.do_oauth_provider_remove(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  before jsonb := nodeai.row_now('oauth_providers', (args ->> 'id')::uuid, org);
BEGIN
  PERFORM nodeai.change_row('oauth_providers', 'delete', (args ->> 'id')::uuid, org, '{}',
    (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('changes', jsonb_build_object('before', nodeai.audit_view(before)));
EXCEPTION WHEN foreign_key_violation THEN
  RAISE EXCEPTION 'accounts are connected at this provider; disconnect them first' USING ERRCODE = 'NA409';
END
$$;
SELECT nodeai.expose('nodeai.do_oauth_provider_remove(uuid, jsonb)', '{authenticated}');

-- A connection that the caller may use, by id or by name (its own come first), with its sealed tokens and its provider,
-- and a row of the access log in this very transaction. {"org_id"?,"connection","purpose","execution_id"?,"node_id"?} →
-- null | {"ambiguous":true} | {"connection","sealed","provider"}.
CREATE FUNCTION nodeai.open_connection(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  wanted text := p ->> 'connection';
  found_ids uuid[];
  c public.connections;
BEGIN
  IF NOT coalesce(org = ANY (nodeai.orgs_with('editor')), false) THEN
    RAISE EXCEPTION 'not an editor' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT array_agg(x.id) INTO found_ids FROM (
    SELECT m.id, rank() OVER (ORDER BY (m.id::text = wanted) DESC, (m.user_id = auth.uid()) DESC) AS place
    FROM public.connections m
    WHERE m.org_id = org AND (m.user_id = auth.uid() OR m.shared) AND (m.id::text = wanted OR m.name = wanted)) x
    WHERE x.place = 1;
  IF cardinality(found_ids) > 1 THEN
    RETURN '{"ambiguous":true}';
  END IF;
  SELECT * INTO c FROM public.connections x WHERE x.id = found_ids[1];
  IF c.id IS NULL THEN
    RETURN NULL;
  END IF;
  INSERT INTO public.secret_access_log (org_id, connection_id, user_id, key_id, execution_id, node_id, purpose)
    VALUES (org, c.id, auth.uid(), nullif(nodeai.claims() ->> 'key_id', '')::uuid, (p ->> 'execution_id')::uuid,
      p ->> 'node_id', coalesce(p ->> 'purpose', 'run'));
  RETURN jsonb_build_object(
    'connection', jsonb_build_object('id', c.id, 'org_id', c.org_id, 'status', c.status, 'version', c.version,
      'own', c.user_id = auth.uid(), 'token_expires_us', nodeai.to_us(c.token_expires_at)),
    'sealed', jsonb_build_object('key_version', c.key_version, 'wrapped_key', encode(c.wrapped_key, 'hex'),
      'nonce', encode(c.nonce, 'hex'), 'ciphertext', encode(c.ciphertext, 'hex')),
    'provider', (SELECT to_jsonb(o) FROM public.oauth_providers o WHERE o.id = c.provider_id));
END
$$;
SELECT nodeai.expose('nodeai.open_connection(jsonb)', '{authenticated}');

CREATE FUNCTION public.connection_open(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.open_connection(p) $$;
SELECT nodeai.expose('public.connection_open(jsonb)', '{authenticated}');

-- The single flight of a refresh: true for one caller at a time, and only at the version that it has seen.
-- {"org_id"?,"id","version","lease_us"} → {"claimed","version" (as it is now)}.
CREATE FUNCTION nodeai.claim_refresh(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
BEGIN
  UPDATE public.connections c
    SET refreshing_until = clock_timestamp() + (p ->> 'lease_us')::bigint * interval '1 microsecond'
    WHERE c.id = (p ->> 'id')::uuid AND c.org_id = org AND (c.user_id = auth.uid() OR c.shared)
      AND org = ANY (nodeai.orgs_with('editor')) AND c.version = (p ->> 'version')::integer
      AND (c.refreshing_until IS NULL OR c.refreshing_until < clock_timestamp());
  RETURN jsonb_build_object('claimed', FOUND, 'version', (SELECT c.version FROM public.connections c
    WHERE c.id = (p ->> 'id')::uuid AND c.org_id = org AND (c.user_id = auth.uid() OR c.shared)));
END
$$;
SELECT nodeai.expose('nodeai.claim_refresh(jsonb)', '{authenticated}');

CREATE FUNCTION public.connection_claim_refresh(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.claim_refresh(p) $$;
SELECT nodeai.expose('public.connection_claim_refresh(jsonb)', '{authenticated}');

-- Ends a refresh that was claimed: with new tokens, with the end of the grant (`status` expired), or with neither (the
-- provider could not be reached; the next one may try). {"org_id"?,"id","version","sealed"?,"token_expires_us"?,"status"?,
-- "error"?} → {"stored"}.
CREATE FUNCTION nodeai.end_refresh(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  sealed jsonb := nullif(p -> 'sealed', 'null');
  changes boolean := sealed IS NOT NULL OR p ->> 'status' IS NOT NULL;
  c public.connections;
BEGIN
  UPDATE public.connections x SET refreshing_until = NULL, last_error = p ->> 'error',
    status = coalesce(p ->> 'status', CASE WHEN sealed IS NOT NULL THEN 'active' ELSE x.status END),
    key_version = coalesce((sealed ->> 'key_version')::integer, x.key_version),
    wrapped_key = coalesce(decode(sealed ->> 'wrapped_key', 'hex'), x.wrapped_key),
    nonce = coalesce(decode(sealed ->> 'nonce', 'hex'), x.nonce),
    ciphertext = coalesce(decode(sealed ->> 'ciphertext', 'hex'), x.ciphertext),
    token_expires_at = CASE WHEN sealed IS NOT NULL THEN nodeai.from_us((p ->> 'token_expires_us')::bigint)
      ELSE x.token_expires_at END,
    version = x.version + CASE WHEN changes THEN 1 ELSE 0 END,
    updated_at = CASE WHEN changes THEN clock_timestamp() ELSE x.updated_at END
    WHERE x.id = (p ->> 'id')::uuid AND x.org_id = org AND (x.user_id = auth.uid() OR x.shared)
      AND org = ANY (nodeai.orgs_with('editor')) AND x.version = (p ->> 'version')::integer
    RETURNING * INTO c;
  IF c.id IS NOT NULL AND p ->> 'status' IS NOT NULL THEN
    PERFORM nodeai.audit(org, jsonb_build_object('action', 'connection.' || (p ->> 'status'), 'resource_type',
      'connection', 'resource_id', c.id, 'request_id', p ->> 'request_id',
      'details', jsonb_build_object('error', p ->> 'error')));
  END IF;
  RETURN jsonb_build_object('stored', c.id IS NOT NULL);
END
$$;
SELECT nodeai.expose('nodeai.end_refresh(jsonb)', '{authenticated}');

CREATE FUNCTION public.connection_end_refresh(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.end_refresh(p) $$;
SELECT nodeai.expose('public.connection_end_refresh(jsonb)', '{authenticated}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY[
  'oauth_take_state', 'connection_open', 'connection_claim_refresh', 'connection_end_refresh']) fn;

-- As before, and a connection's data key is replaced only where it is still the one that was read (`from_wrapped`, hex): a
-- refresh may have sealed new tokens meanwhile.
CREATE OR REPLACE FUNCTION nodeai.rewrap_keys(p jsonb) RETURNS jsonb
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
      AS r(kind text, id uuid, from_version integer, from_wrapped text, key_version integer, wrapped_key text)
    WHERE r.kind = 'connection' AND c.id = r.id AND c.key_version = r.from_version
      AND c.wrapped_key = decode(r.from_wrapped, 'hex') AND (org IS NULL OR c.org_id = org);
  GET DIAGNOSTICS m = ROW_COUNT;
  RETURN jsonb_build_object('changed', n + m);
END
$$;
