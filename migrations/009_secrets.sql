-- Secrets (envelope-encrypted by the functions; the database never sees a value) and connected accounts.

CREATE TABLE public.secrets_vault (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT secrets_vault_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT secrets_vault_name_format CHECK (name ~ '^[A-Za-z_][A-Za-z0-9_]{0,127}$'),
  description text CONSTRAINT secrets_vault_description_length CHECK (char_length(description) <= 2000),
  environment text NOT NULL DEFAULT '' CONSTRAINT secrets_vault_environment CHECK (environment IN ('', 'dev', 'staging', 'prod')),
  hosts text[],
  current integer NOT NULL DEFAULT 1,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT secrets_vault_name_unique UNIQUE (org_id, name, environment)
);
SELECT nodeai.tenant_table('public.secrets_vault', 'viewer', 'admin');

-- `key_version` names the master key that wraps the data key; the AAD binds tenant, secret, version and key version.
CREATE TABLE public.secret_versions (
  secret_id uuid NOT NULL CONSTRAINT secret_versions_secret REFERENCES public.secrets_vault (id) ON DELETE CASCADE,
  number integer NOT NULL CONSTRAINT secret_versions_number CHECK (number > 0),
  org_id uuid NOT NULL,
  key_version integer NOT NULL,
  wrapped_key bytea NOT NULL,
  nonce bytea NOT NULL,
  ciphertext bytea NOT NULL,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (secret_id, number)
);
CREATE INDEX secret_versions_key_idx ON public.secret_versions (key_version, secret_id, number);
CREATE INDEX secret_versions_org_idx ON public.secret_versions (org_id);
SELECT nodeai.tenant_table('public.secret_versions', 'admin', 'admin', 'INSERT');

CREATE TABLE public.secret_access_log (
  id uuid PRIMARY KEY DEFAULT nodeai.uuid_v7(),
  org_id uuid NOT NULL,
  secret_id uuid NOT NULL,
  number integer NOT NULL,
  user_id uuid,
  key_id uuid,
  execution_id uuid,
  node_id text,
  purpose text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX secret_access_log_org_idx ON public.secret_access_log (org_id, at DESC, id DESC);
CREATE INDEX secret_access_log_secret_idx ON public.secret_access_log (secret_id, at DESC);
SELECT nodeai.tenant_table('public.secret_access_log', 'admin', 'owner');
REVOKE UPDATE ON public.secret_access_log FROM service_role;

SELECT nodeai.belongs_to('public.secret_versions', 'secrets_vault', 'secret_id');

SELECT nodeai.allow_write('secrets_vault', '{name,description,environment,hosts,current}',
  '{name,description,hosts,current}');
-- Ciphertexts are readable through nodeai.open_secrets alone, so the write list grants no SELECT here.
INSERT INTO nodeai.writable_tables
VALUES ('secret_versions', '{secret_id,number,key_version,wrapped_key,nonce,ciphertext}', '{}', false, false, false, true, false);

-- The ciphertexts of secrets by name, for a member who may run; one log row each, in this very transaction: no row,
-- no ciphertext. {"org_id","names":[…],"environment"?,"purpose","execution_id"?,"node_id"?} →
-- [{"id","name","number","key_version","wrapped_key","nonce","ciphertext","hosts"}] (bytes as hex).
CREATE FUNCTION nodeai.open_secrets(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  opened jsonb;
BEGIN
  IF NOT coalesce(org = ANY (nodeai.orgs_with('editor')), false) THEN
    RAISE EXCEPTION 'not an editor' USING ERRCODE = 'insufficient_privilege';
  END IF;
  WITH wanted AS (
    SELECT DISTINCT ON (v.name) v.id, v.name, v.hosts, s.number, s.key_version, s.wrapped_key, s.nonce, s.ciphertext
    FROM public.secrets_vault v
    JOIN public.secret_versions s ON s.secret_id = v.id AND s.number = v.current
    WHERE v.org_id = org AND v.name IN (SELECT jsonb_array_elements_text(p -> 'names'))
      AND v.environment IN ('', coalesce(p ->> 'environment', ''))
    ORDER BY v.name, v.environment DESC
  ), logged AS (
    INSERT INTO public.secret_access_log (org_id, secret_id, number, user_id, key_id, execution_id, node_id, purpose)
    SELECT org, w.id, w.number, auth.uid(), nullif(nodeai.claims() ->> 'key_id', '')::uuid,
      (p ->> 'execution_id')::uuid, p ->> 'node_id', coalesce(p ->> 'purpose', 'run')
    FROM wanted w
    RETURNING secret_id
  )
  SELECT coalesce(jsonb_agg(jsonb_build_object(
      'id', w.id, 'name', w.name, 'hosts', w.hosts, 'number', w.number, 'key_version', w.key_version,
      'wrapped_key', encode(w.wrapped_key, 'hex'), 'nonce', encode(w.nonce, 'hex'),
      'ciphertext', encode(w.ciphertext, 'hex')) ORDER BY w.name), '[]')
    INTO opened FROM wanted w JOIN logged l ON l.secret_id = w.id;
  RETURN opened;
END
$$;
SELECT nodeai.expose('nodeai.open_secrets(jsonb)', '{authenticated}');

CREATE FUNCTION public.secrets_open(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.open_secrets(p) $$;
SELECT nodeai.expose('public.secrets_open(jsonb)', '{authenticated}');

-- Connected accounts: tokens encrypted like secrets; `refreshing_until` is the single flight of a refresh.
CREATE TABLE public.connections (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT connections_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  user_id uuid NOT NULL,
  provider text NOT NULL CONSTRAINT connections_provider_length CHECK (char_length(provider) BETWEEN 1 AND 100),
  account text NOT NULL DEFAULT '' CONSTRAINT connections_account_length CHECK (char_length(account) <= 320),
  name text CONSTRAINT connections_name_length CHECK (char_length(name) <= 200),
  scopes text[] NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'active' CONSTRAINT connections_status CHECK (status IN ('active', 'expired', 'revoked', 'failed')),
  key_version integer NOT NULL,
  wrapped_key bytea NOT NULL,
  nonce bytea NOT NULL,
  ciphertext bytea NOT NULL,
  token_expires_at timestamptz,
  refreshing_until timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT connections_account_unique UNIQUE (org_id, user_id, provider, account)
);
CREATE INDEX connections_refresh_idx ON public.connections (token_expires_at)
  WHERE status = 'active' AND token_expires_at IS NOT NULL;
CREATE INDEX connections_key_idx ON public.connections (key_version);
SELECT nodeai.lock_table('public.connections');
CREATE POLICY own ON public.connections TO authenticated
  USING (user_id = (SELECT auth.uid()) AND org_id = ANY ((SELECT nodeai.orgs_with('viewer'))::uuid[]))
  WITH CHECK (user_id = (SELECT auth.uid()) AND org_id = ANY ((SELECT nodeai.orgs_with('editor'))::uuid[]));
SELECT nodeai.allow_write('connections',
  '{user_id,provider,account,name,scopes,status,key_version,wrapped_key,nonce,ciphertext,token_expires_at}',
  '{name,scopes,status,key_version,wrapped_key,nonce,ciphertext,token_expires_at,refreshing_until}');

-- One-time states of the code flow, bound to the caller who began it.
CREATE TABLE public.oauth_states (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT oauth_states_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  user_id uuid NOT NULL,
  state_hash text NOT NULL CONSTRAINT oauth_states_state_unique UNIQUE,
  provider text NOT NULL,
  verifier_ciphertext bytea NOT NULL,
  redirect_uri text NOT NULL,
  used_at timestamptz,
  expires_at timestamptz NOT NULL,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX oauth_states_expires_idx ON public.oauth_states (expires_at);
CREATE INDEX oauth_states_org_idx ON public.oauth_states (org_id);
SELECT nodeai.lock_table('public.oauth_states');
CREATE POLICY own ON public.oauth_states TO authenticated
  USING (user_id = (SELECT auth.uid()) AND org_id = ANY ((SELECT nodeai.orgs_with('viewer'))::uuid[]))
  WITH CHECK (user_id = (SELECT auth.uid()) AND org_id = ANY ((SELECT nodeai.orgs_with('editor'))::uuid[]));
SELECT nodeai.allow_write('oauth_states',
  '{user_id,state_hash,provider,verifier_ciphertext,redirect_uri,expires_at}', '{used_at}');
