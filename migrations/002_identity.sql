-- Organisations, members, profiles, invitations and API keys: who may do what, and for whom.

CREATE TABLE public.organizations (
  id uuid PRIMARY KEY,
  name text NOT NULL CONSTRAINT organizations_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  slug text CONSTRAINT organizations_slug_unique UNIQUE
    CONSTRAINT organizations_slug_format CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  kind text NOT NULL DEFAULT 'team' CONSTRAINT organizations_kind CHECK (kind IN ('personal', 'team')),
  settings jsonb NOT NULL DEFAULT '{}',
  retention_days integer NOT NULL DEFAULT 30
    CONSTRAINT organizations_retention_days CHECK (retention_days BETWEEN 1 AND 3650),
  rate_per_minute integer CONSTRAINT organizations_rate_per_minute CHECK (rate_per_minute BETWEEN 1 AND 60000000),
  rate_burst integer CONSTRAINT organizations_rate_burst CHECK (rate_burst > 0),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- `settings` is the one place of truth of the view user_settings.
CREATE TABLE public.profiles (
  id uuid PRIMARY KEY,
  email text CONSTRAINT profiles_email_length CHECK (char_length(email) <= 320),
  display_name text CONSTRAINT profiles_display_name_length CHECK (char_length(display_name) <= 200),
  avatar_url text CONSTRAINT profiles_avatar_url_length CHECK (char_length(avatar_url) <= 2000),
  default_org_id uuid CONSTRAINT profiles_default_org REFERENCES public.organizations (id) ON DELETE SET NULL,
  settings jsonb NOT NULL DEFAULT '{}'
    CONSTRAINT profiles_settings_object CHECK (jsonb_typeof(settings) = 'object'),
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX profiles_email_idx ON public.profiles (email, created_at);
CREATE INDEX profiles_default_org_idx ON public.profiles (default_org_id);

CREATE TABLE public.organization_members (
  org_id uuid NOT NULL CONSTRAINT organization_members_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  user_id uuid NOT NULL CONSTRAINT organization_members_user REFERENCES public.profiles (id) ON DELETE CASCADE,
  id uuid NOT NULL DEFAULT nodeai.uuid_v7() CONSTRAINT organization_members_id_unique UNIQUE,
  role text NOT NULL CONSTRAINT organization_members_role CHECK (role IN ('viewer', 'editor', 'admin', 'owner')),
  rank smallint NOT NULL GENERATED ALWAYS AS (
    CASE role WHEN 'owner' THEN 4 WHEN 'admin' THEN 3 WHEN 'editor' THEN 2 ELSE 1 END) STORED,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, org_id)
);
CREATE INDEX organization_members_org_idx ON public.organization_members (org_id, rank);

-- Membership: the question that every policy asks -----------------------------------------------------------------

-- The organisations in which the caller has `min_role` or more; only the one of the claims where they name one
-- (an API key, or the organisation chosen for the request). Policies call it as a sub-select: once per statement.
CREATE FUNCTION nodeai.orgs_with(min_role text) RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
  caller uuid := nullif(claims ->> 'sub', '')::uuid;
  chosen uuid := nullif(claims ->> 'org_id', '')::uuid;
  least_rank smallint := CASE min_role WHEN 'owner' THEN 4 WHEN 'admin' THEN 3 WHEN 'editor' THEN 2 ELSE 1 END;
BEGIN
  IF caller IS NULL THEN
    RETURN '{}';
  END IF;
  IF chosen IS NOT NULL THEN
    RETURN ARRAY(SELECT m.org_id FROM public.organization_members m
                 WHERE m.user_id = caller AND m.org_id = chosen AND m.rank >= least_rank);
  END IF;
  RETURN ARRAY(SELECT m.org_id FROM public.organization_members m
               WHERE m.user_id = caller AND m.rank >= least_rank);
END
$$;
SELECT nodeai.expose('nodeai.orgs_with(text)', '{authenticated,service_role}');

-- Everybody who shares an organisation with the caller: whose name and address the caller may see.
CREATE FUNCTION nodeai.fellows() RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  orgs uuid[] := nodeai.orgs_with('viewer');
BEGIN
  RETURN ARRAY(SELECT m.user_id FROM public.organization_members m WHERE m.org_id = ANY (orgs));
END
$$;
SELECT nodeai.expose('nodeai.fellows()', '{authenticated,service_role}');

SELECT nodeai.lock_table('public.organizations');
CREATE POLICY member_reads ON public.organizations FOR SELECT TO authenticated
  USING (id = ANY ((SELECT nodeai.orgs_with('viewer'))::uuid[]));
CREATE POLICY admin_updates ON public.organizations FOR UPDATE TO authenticated
  USING (id = ANY ((SELECT nodeai.orgs_with('admin'))::uuid[]))
  WITH CHECK (id = ANY ((SELECT nodeai.orgs_with('admin'))::uuid[]));
GRANT SELECT, UPDATE (name, slug, settings, retention_days, version, updated_at)
  ON public.organizations TO authenticated;

SELECT nodeai.lock_table('public.profiles');
CREATE POLICY fellow_reads ON public.profiles FOR SELECT TO authenticated
  USING (id = (SELECT auth.uid()) OR id = ANY ((SELECT nodeai.fellows())::uuid[]));
CREATE POLICY own_updates ON public.profiles FOR UPDATE TO authenticated
  USING (id = (SELECT auth.uid())) WITH CHECK (id = (SELECT auth.uid()));
-- Settings are private: fellows see names and addresses only.
GRANT SELECT (id, email, display_name, avatar_url, default_org_id, version, created_at, updated_at),
  UPDATE (display_name, avatar_url, default_org_id, settings, version, updated_at)
  ON public.profiles TO authenticated;

-- The caller's own settings. The body is privileged because `settings` is not readable through the table.
CREATE FUNCTION nodeai.own_settings()
RETURNS TABLE (user_id uuid, settings jsonb, version integer, updated_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT p.id, p.settings, p.version, p.updated_at FROM public.profiles p WHERE p.id = (SELECT auth.uid())
$$;
SELECT nodeai.expose('nodeai.own_settings()', '{authenticated,service_role}');

CREATE VIEW public.user_settings WITH (security_barrier = true) AS
  SELECT s.user_id, s.settings, s.version, s.updated_at FROM nodeai.own_settings() s;
REVOKE ALL ON public.user_settings FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.user_settings TO authenticated, service_role;
DO $$
BEGIN
  -- From PostgreSQL 15 on a view can run with its reader's rights; before, the function alone decides.
  IF current_setting('server_version_num')::integer >= 150000 THEN
    EXECUTE 'ALTER VIEW public.user_settings SET (security_invoker = true)';
  END IF;
END
$$;

-- Members: everybody sees the list, admins change it; nobody grants more than they have, and an organisation
-- keeps its last owner.
SELECT nodeai.tenant_table('public.organization_members', 'viewer', 'admin');
CREATE FUNCTION nodeai.guard_members() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(NEW.org_id, OLD.org_id);
  caller uuid := nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid;
  own_rank smallint;
BEGIN
  IF caller IS NOT NULL AND current_setting('role') = 'authenticated' THEN
    SELECT m.rank INTO own_rank FROM public.organization_members m WHERE m.org_id = org AND m.user_id = caller;
    IF own_rank < greatest(
      CASE WHEN TG_OP <> 'INSERT' THEN OLD.rank ELSE 1 END,
      CASE WHEN TG_OP = 'DELETE' THEN 1
           WHEN NEW.role = 'owner' THEN 4 WHEN NEW.role = 'admin' THEN 3 ELSE 1 END) THEN
      RAISE EXCEPTION 'cannot manage a member above the own role' USING ERRCODE = 'insufficient_privilege';
    END IF;
  END IF;
  IF TG_OP <> 'INSERT' AND OLD.role = 'owner' AND (TG_OP = 'DELETE' OR NEW.role <> 'owner')
     AND EXISTS (SELECT FROM public.organizations o WHERE o.id = org)
     AND NOT EXISTS (SELECT FROM public.organization_members m
                     WHERE m.org_id = org AND m.user_id <> OLD.user_id AND m.role = 'owner') THEN
    RAISE EXCEPTION 'the last owner stays'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'organization_members_last_owner';
  END IF;
  IF TG_OP = 'DELETE' THEN
    RETURN OLD;
  END IF;
  RETURN NEW;
END
$$;
SELECT nodeai.expose('nodeai.guard_members()', '{}');
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON public.organization_members
  FOR EACH ROW EXECUTE FUNCTION nodeai.guard_members();

CREATE TABLE public.invitations (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT invitations_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  email text NOT NULL CONSTRAINT invitations_email_length CHECK (char_length(email) BETWEEN 3 AND 320),
  role text NOT NULL DEFAULT 'viewer' CONSTRAINT invitations_role CHECK (role IN ('viewer', 'editor', 'admin')),
  token_hash text NOT NULL CONSTRAINT invitations_token_unique UNIQUE,
  expires_at timestamptz NOT NULL,
  accepted_at timestamptz,
  accepted_by uuid,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX invitations_open_unique ON public.invitations (org_id, lower(email)) WHERE accepted_at IS NULL;
CREATE INDEX invitations_email_idx ON public.invitations (lower(email)) WHERE accepted_at IS NULL;
SELECT nodeai.tenant_table('public.invitations', 'admin', 'admin');

-- Keys: only SHA-256 (hex) and the last four characters are kept.
CREATE TABLE public.api_keys (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT api_keys_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  user_id uuid NOT NULL CONSTRAINT api_keys_user REFERENCES public.profiles (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT api_keys_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  prefix text NOT NULL CONSTRAINT api_keys_prefix CHECK (prefix IN ('nai_live_', 'nai_test_')),
  key_hash text NOT NULL CONSTRAINT api_keys_hash_unique UNIQUE
    CONSTRAINT api_keys_hash_format CHECK (key_hash ~ '^[0-9a-f]{64}$'),
  last4 text NOT NULL CONSTRAINT api_keys_last4_length CHECK (char_length(last4) = 4),
  scopes text[] NOT NULL DEFAULT '{}'
    CONSTRAINT api_keys_scopes_count CHECK (cardinality(scopes) <= 100),
  workflow_ids uuid[],
  ip_allow cidr[],
  rate_per_minute integer CONSTRAINT api_keys_rate_per_minute CHECK (rate_per_minute BETWEEN 1 AND 60000000),
  rate_burst integer CONSTRAINT api_keys_rate_burst CHECK (rate_burst > 0),
  expires_at timestamptz,
  revoked_at timestamptz,
  rotated_from uuid CONSTRAINT api_keys_rotated_from REFERENCES public.api_keys (id) ON DELETE SET NULL,
  last_used_at timestamptz,
  usage_count bigint NOT NULL DEFAULT 0,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX api_keys_org_idx ON public.api_keys (org_id, id DESC);
CREATE INDEX api_keys_user_idx ON public.api_keys (user_id);
CREATE INDEX api_keys_rotated_from_idx ON public.api_keys (rotated_from) WHERE rotated_from IS NOT NULL;
CREATE INDEX api_keys_expiring_idx ON public.api_keys (expires_at) WHERE expires_at IS NOT NULL AND revoked_at IS NULL;

-- A member sees and manages the own keys, an admin all of the organisation; a key is only ever made for oneself,
-- because it acts with the rights of its user.
SELECT nodeai.lock_table('public.api_keys');
CREATE POLICY own_or_admin_reads ON public.api_keys FOR SELECT TO authenticated
  USING (org_id = ANY ((SELECT nodeai.orgs_with('admin'))::uuid[])
    OR (user_id = (SELECT auth.uid()) AND org_id = ANY ((SELECT nodeai.orgs_with('viewer'))::uuid[])));
CREATE POLICY own_inserts ON public.api_keys FOR INSERT TO authenticated
  WITH CHECK (user_id = (SELECT auth.uid()) AND org_id = ANY ((SELECT nodeai.orgs_with('viewer'))::uuid[]));
CREATE POLICY own_or_admin_updates ON public.api_keys FOR UPDATE TO authenticated
  USING (org_id = ANY ((SELECT nodeai.orgs_with('admin'))::uuid[])
    OR (user_id = (SELECT auth.uid()) AND org_id = ANY ((SELECT nodeai.orgs_with('viewer'))::uuid[])))
  WITH CHECK (org_id = ANY ((SELECT nodeai.orgs_with('admin'))::uuid[])
    OR (user_id = (SELECT auth.uid()) AND org_id = ANY ((SELECT nodeai.orgs_with('viewer'))::uuid[])));
GRANT SELECT ON public.api_keys TO authenticated;

SELECT nodeai.allow_write('organization_members', '{user_id,role}', '{role}');
SELECT nodeai.allow_write('invitations', '{email,role,token_hash,expires_at}', '{role,token_hash,expires_at}');
SELECT nodeai.allow_write('api_keys',
  '{user_id,name,prefix,key_hash,last4,scopes,workflow_ids,ip_allow,rate_per_minute,rate_burst,expires_at,rotated_from}',
  '{name,scopes,workflow_ids,ip_allow,expires_at,revoked_at}', false);
