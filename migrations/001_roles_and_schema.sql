-- Roles, the private schema, Supabase's auth helpers where missing, and the tools every later migration uses.
-- Runs on plain PostgreSQL 14 and later and on Supabase; needs CREATEROLE only where a role is missing.

-- Roles ---------------------------------------------------------------------------------------------------------
-- The three request roles are Supabase's. `nodeai_app` is the login of the functions (it may only be admitted),
-- `authenticator` the login of a PostgREST server. Neither inherits: rights come with `SET ROLE` alone.
DO $$
DECLARE
  wanted record;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('anon', 'NOLOGIN NOINHERIT'), ('authenticated', 'NOLOGIN NOINHERIT'), ('service_role', 'NOLOGIN NOINHERIT'),
      ('nodeai_app', 'LOGIN NOINHERIT'), ('authenticator', 'LOGIN NOINHERIT')) AS r(name, options)
  LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted.name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.options);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- another database of this cluster was migrated at the same moment
      END;
    END IF;
  END LOOP;
END
$$;

DO $$
DECLARE
  login text;
  granted text;
BEGIN
  FOREACH login IN ARRAY ARRAY['nodeai_app', 'authenticator'] LOOP
    FOREACH granted IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
      CONTINUE WHEN EXISTS (
        SELECT FROM pg_catalog.pg_auth_members m
        WHERE m.roleid = granted::regrole AND m.member = login::regrole);
      BEGIN
        EXECUTE format('GRANT %I TO %I', granted, login);
      EXCEPTION
        WHEN insufficient_privilege THEN
          RAISE NOTICE 'cannot grant % to %: that login will not be usable', granted, login;
        WHEN unique_violation OR internal_error THEN
          NULL; -- granted by a migration of another database at the same moment
      END;
    END LOOP;
  END LOOP;
END
$$;

DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_db_role_setting s
    WHERE s.setrole = 'nodeai_app'::regrole AND s.setdatabase = 0) THEN
    ALTER ROLE nodeai_app SET timezone = 'UTC';
  END IF;
EXCEPTION WHEN insufficient_privilege OR internal_error THEN
  RAISE NOTICE 'time zone of nodeai_app left as it is';
END
$$;

-- Schemas -------------------------------------------------------------------------------------------------------
CREATE SCHEMA IF NOT EXISTS nodeai;
REVOKE ALL ON SCHEMA nodeai FROM PUBLIC;
GRANT USAGE ON SCHEMA nodeai TO anon, authenticated, service_role, nodeai_app;

DO $$
BEGIN
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
  GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'rights on schema public left as they are';
END
$$;

-- Supabase's auth helpers, only where missing -------------------------------------------------------------------
DO $$
BEGIN
  IF to_regnamespace('auth') IS NULL THEN
    CREATE SCHEMA auth;
    GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
  END IF;
  IF to_regprocedure('auth.jwt()') IS NULL THEN
    CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE
      RETURN nullif(current_setting('request.jwt.claims', true), '')::jsonb;
    REVOKE ALL ON FUNCTION auth.jwt() FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION auth.jwt() TO anon, authenticated, service_role;
  END IF;
  IF to_regprocedure('auth.uid()') IS NULL THEN
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE
      RETURN nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid;
    REVOKE ALL ON FUNCTION auth.uid() FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION auth.uid() TO anon, authenticated, service_role;
  END IF;
  IF to_regprocedure('auth.role()') IS NULL THEN
    CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE
      RETURN nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role', '');
    REVOKE ALL ON FUNCTION auth.role() FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION auth.role() TO anon, authenticated, service_role;
  END IF;
END
$$;

-- Tools of the migrations ---------------------------------------------------------------------------------------

-- Takes a function away from everybody (Supabase grants new ones in `public` by default) and gives it to `roles`.
CREATE FUNCTION nodeai.expose(signature text, roles text[]) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  grantee text;
BEGIN
  EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, anon, authenticated, service_role', signature::regprocedure);
  FOREACH grantee IN ARRAY roles LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', signature::regprocedure, grantee);
  END LOOP;
END
$$;

-- Row security on and forced, all rights revoked, `service_role` and the owner let through by an explicit policy
-- (neither needs BYPASSRLS; the owner's policy serves the security definer functions).
CREATE FUNCTION nodeai.lock_table(tbl regclass) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tbl);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tbl);
  EXECUTE format('REVOKE ALL ON TABLE %s FROM PUBLIC, anon, authenticated, service_role', tbl);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %s TO service_role', tbl);
  EXECUTE format('CREATE POLICY service ON %s TO service_role, CURRENT_USER USING (true) WITH CHECK (true)', tbl);
END
$$;

-- A tenant's table: members of `read_role` or above read the organisation's rows, `write_role` or above write them.
-- `rights` are the table rights of `authenticated`; tables written by `public.write` get column rights instead.
CREATE FUNCTION nodeai.tenant_table(
  tbl regclass, read_role text DEFAULT 'viewer', write_role text DEFAULT 'editor', rights text DEFAULT 'SELECT')
RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  reads text := format('org_id = ANY ((SELECT nodeai.orgs_with(%L))::uuid[])', read_role);
  writes text := format('org_id = ANY ((SELECT nodeai.orgs_with(%L))::uuid[])', write_role);
BEGIN
  PERFORM nodeai.lock_table(tbl);
  EXECUTE format('GRANT %s ON TABLE %s TO authenticated', rights, tbl);
  EXECUTE format('CREATE POLICY member_reads ON %s FOR SELECT TO authenticated USING (%s)', tbl, reads);
  EXECUTE format('CREATE POLICY member_inserts ON %s FOR INSERT TO authenticated WITH CHECK (%s)', tbl, writes);
  EXECUTE format('CREATE POLICY member_updates ON %s FOR UPDATE TO authenticated USING (%s) WITH CHECK (%s)',
    tbl, writes, writes);
  EXECUTE format('CREATE POLICY member_deletes ON %s FOR DELETE TO authenticated USING (%s)', tbl, writes);
END
$$;

-- A child belongs to the organisation of its parent. One guard for all: the arguments are the parent table and the
-- referring column.
CREATE FUNCTION nodeai.guard_parent() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  parent uuid := (to_jsonb(NEW) ->> TG_ARGV[1])::uuid;
  same boolean;
BEGIN
  IF parent IS NULL THEN
    RETURN NEW;
  END IF;
  EXECUTE format('SELECT org_id = $1 FROM public.%I WHERE id = $2', TG_ARGV[0]) INTO same USING NEW.org_id, parent;
  IF NOT coalesce(same, false) THEN
    RAISE EXCEPTION '% belongs to another organisation', TG_ARGV[1] USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;
SELECT nodeai.expose('nodeai.guard_parent()', '{}');

-- Declares the parent of a table: inserts and changes of the reference are checked.
CREATE FUNCTION nodeai.belongs_to(child regclass, parent text, reference text) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER %I BEFORE INSERT OR UPDATE OF org_id, %I ON %s FOR EACH ROW EXECUTE FUNCTION nodeai.guard_parent(%L, %L)',
    'belongs_to_' || reference, reference, child, parent, reference);
END
$$;
SELECT nodeai.expose('nodeai.belongs_to(regclass, text, text)', '{}');

-- What `public.write` may touch. A table that is not listed cannot be written by it at all.
CREATE TABLE nodeai.writable_tables (
  table_name text PRIMARY KEY,
  insertable text[] NOT NULL,
  updatable text[] NOT NULL,
  deletable boolean NOT NULL,
  soft_delete boolean NOT NULL,
  has_version boolean NOT NULL,
  has_created_by boolean NOT NULL,
  has_id boolean NOT NULL
);
SELECT nodeai.lock_table('nodeai.writable_tables');

-- Lists a table for `public.write` and grants exactly those columns: `org_id`, `id`, `created_by` can be set once
-- by an insert and never be changed.
CREATE FUNCTION nodeai.allow_write(
  name text, insertable text[], updatable text[], deletable boolean DEFAULT true)
RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  present text[] := (SELECT array_agg(a.attname::text) FROM pg_catalog.pg_attribute a
                     WHERE a.attrelid = ('public.' || name)::regclass AND a.attnum > 0 AND NOT a.attisdropped);
  fixed text[];
  stamped text[];
BEGIN
  IF NOT (insertable <@ present AND updatable <@ present) THEN
    RAISE EXCEPTION 'unknown column in the write list of %', name;
  END IF;
  fixed := ARRAY(SELECT c FROM unnest(ARRAY['id', 'org_id', 'created_by']) c WHERE c = ANY (present));
  stamped := ARRAY(SELECT c FROM unnest(ARRAY['version', 'updated_at', 'deleted_at']) c WHERE c = ANY (present));
  INSERT INTO nodeai.writable_tables
  VALUES (name, insertable, updatable, deletable, deletable AND 'deleted_at' = ANY (present),
          'version' = ANY (present), 'created_by' = ANY (present), 'id' = ANY (present));
  EXECUTE format('GRANT SELECT ON public.%I TO authenticated', name);
  EXECUTE format('GRANT INSERT (%s) ON public.%I TO authenticated',
    (SELECT string_agg(DISTINCT quote_ident(c), ', ') FROM unnest(fixed || insertable) c), name);
  IF cardinality(updatable || stamped) > 0 THEN
    EXECUTE format('GRANT UPDATE (%s) ON public.%I TO authenticated',
      (SELECT string_agg(DISTINCT quote_ident(c), ', ') FROM unnest(updatable || stamped) c), name);
  END IF;
  IF deletable AND NOT 'deleted_at' = ANY (present) THEN
    EXECUTE format('GRANT DELETE ON public.%I TO authenticated', name);
  END IF;
END
$$;

-- Times travel as int64 microseconds since the epoch, because the guests' driver reads whole seconds otherwise.
CREATE FUNCTION nodeai.to_us(t timestamptz) RETURNS bigint LANGUAGE sql STABLE
  RETURN (extract(epoch FROM t) * 1000000)::bigint;

CREATE FUNCTION nodeai.from_us(us bigint) RETURNS timestamptz LANGUAGE sql STABLE
  RETURN '1970-01-01T00:00:00Z'::timestamptz + us * interval '1 microsecond';

-- The UTC day of a time in microseconds: the partition key of traces, spans and usage.
CREATE FUNCTION nodeai.day_of(us bigint) RETURNS date LANGUAGE sql IMMUTABLE
  RETURN '1970-01-01'::date + (us / 86400000000)::integer;

-- UUIDv7 (RFC 9562, section 5.7) for the few rows whose id no caller has drawn: 48 bits of milliseconds over a v4.
CREATE FUNCTION nodeai.uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE
  RETURN encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
    52, 1), 53, 1), 'hex')::uuid;

SELECT nodeai.expose('nodeai.expose(text, text[])', '{}');
SELECT nodeai.expose('nodeai.lock_table(regclass)', '{}');
SELECT nodeai.expose('nodeai.tenant_table(regclass, text, text, text)', '{}');
SELECT nodeai.expose('nodeai.allow_write(text, text[], text[], boolean)', '{}');
SELECT nodeai.expose('nodeai.to_us(timestamptz)', '{authenticated,service_role}');
SELECT nodeai.expose('nodeai.from_us(bigint)', '{authenticated,service_role}');
SELECT nodeai.expose('nodeai.day_of(bigint)', '{authenticated,service_role}');
SELECT nodeai.expose('nodeai.uuid_v7()', '{authenticated,service_role}');

-- The record of what was applied; whoever runs the migrations may have created it before.
CREATE TABLE IF NOT EXISTS nodeai.schema_migrations (
  version integer PRIMARY KEY,
  name text NOT NULL,
  sha256 text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
);
SELECT nodeai.lock_table('nodeai.schema_migrations');

-- What is running here: for readiness checks and to refuse a login that is more than it should be.
CREATE FUNCTION nodeai.health() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT jsonb_build_object(
    'ok', true,
    'schema_version', (SELECT coalesce(max(version), 0) FROM nodeai.schema_migrations),
    'session_user', session_user,
    'is_superuser', (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user),
    'backend_pid', pg_backend_pid(),
    'server_version', current_setting('server_version_num')::integer,
    'now_us', nodeai.to_us(clock_timestamp()))
$$;
SELECT nodeai.expose('nodeai.health()', '{anon,authenticated,service_role,nodeai_app}');

CREATE FUNCTION public.health() RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT nodeai.health() $$;
SELECT nodeai.expose('public.health()', '{anon,authenticated,service_role}');
