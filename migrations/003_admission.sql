-- Admission: the first statement of every request. Who is calling, may they, and is there room in their bucket.

-- One row per principal. GCRA (the virtual scheduling form of ITU-T I.371): `tat_us` is the theoretical arrival time.
-- Unlogged: a lost bucket is a full bucket, and no request waits for the disk.
CREATE UNLOGGED TABLE nodeai.rate_limit_buckets (
  id uuid PRIMARY KEY,
  tat_us bigint NOT NULL,
  admitted boolean NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.5);
SELECT nodeai.lock_table('nodeai.rate_limit_buckets');

-- What a member's role allows, in the words of scopes (`area:action`).
CREATE FUNCTION nodeai.scopes_of(member_role text) RETURNS text[]
LANGUAGE sql IMMUTABLE
  RETURN CASE member_role
    WHEN 'owner' THEN ARRAY['*'] WHEN 'admin' THEN ARRAY['*']
    WHEN 'editor' THEN ARRAY['*:read', '*:write', '*:run']
    ELSE ARRAY['*:read'] END;
SELECT nodeai.expose('nodeai.scopes_of(text)', '{}');

-- Does one of `held` cover `wanted`: exact, `area:*`, `*:action`, `*`. Nothing wanted: yes.
CREATE FUNCTION nodeai.scope_covers(held text[], wanted text) RETURNS boolean
LANGUAGE sql IMMUTABLE
  RETURN wanted IS NULL OR held && ARRAY['*', wanted,
    split_part(wanted, ':', 1) || ':*', '*:' || split_part(wanted, ':', 2)];
SELECT nodeai.expose('nodeai.scope_covers(text[], text)', '{}');

-- A user's profile and personal organisation, made on first sight. Returns the default organisation.
CREATE FUNCTION nodeai.ensure_user(new_user uuid, new_email text, new_org uuid DEFAULT nodeai.uuid_v7())
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid;
BEGIN
  INSERT INTO public.profiles (id, email) VALUES (new_user, left(new_email, 320)) ON CONFLICT (id) DO NOTHING;
  IF FOUND THEN
    INSERT INTO public.organizations (id, name, kind, created_by)
      VALUES (new_org, left(coalesce(nullif(split_part(new_email, '@', 1), ''), 'Personal'), 200), 'personal', new_user);
    INSERT INTO public.organization_members (org_id, user_id, role, created_by)
      VALUES (new_org, new_user, 'owner', new_user);
    UPDATE public.profiles p SET default_org_id = new_org WHERE p.id = new_user;
    RETURN new_org;
  END IF;
  SELECT p.default_org_id INTO org FROM public.profiles p WHERE p.id = new_user;
  RETURN org;
END
$$;
SELECT nodeai.expose('nodeai.ensure_user(uuid, text, uuid)', '{}');

-- Resolves the caller, checks key, membership, address and scope, takes from the bucket. Returns what the guest
-- needs to answer and what the session must be set to; a refused caller gets the role `anon` and no claims.
CREATE FUNCTION nodeai.admit(p jsonb) RETURNS TABLE (principal jsonb, claims text, role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
  at timestamptz := clock_timestamp();
  now_us bigint := (extract(epoch FROM at) * 1000000)::bigint;
  wanted text := p ->> 'scope';
  sub text := p -> 'claims' ->> 'sub';
  r record;
  held text[];
  outcome text := 'ok';
  per_minute bigint;
  burst bigint;
  step bigint;
  increment bigint;
  tat bigint;
  admitted boolean;
  rate jsonb;
BEGIN
  IF p ->> 'kind' = 'api_key' THEN
    SELECT k.user_id, k.org_id, m.role AS member_role, k.id AS key_id, k.scopes, k.workflow_ids, k.ip_allow,
           k.expires_at, k.revoked_at, o.rate_per_minute AS org_rate, o.rate_burst AS org_burst,
           k.rate_per_minute AS key_rate, k.rate_burst AS key_burst
      INTO r
      FROM public.api_keys k
      JOIN public.organizations o ON o.id = k.org_id
      LEFT JOIN public.organization_members m ON m.user_id = k.user_id AND m.org_id = k.org_id
      WHERE k.key_hash = p ->> 'key_hash';
    outcome := CASE
      WHEN r.key_id IS NULL THEN 'unknown_key'
      WHEN r.revoked_at IS NOT NULL THEN 'key_revoked'
      WHEN r.expires_at <= at THEN 'key_expired'
      WHEN r.member_role IS NULL THEN 'not_a_member'
      WHEN (p ->> 'org_id')::uuid <> r.org_id THEN 'not_a_member'
      WHEN r.ip_allow IS NOT NULL
        AND NOT coalesce(nullif(p ->> 'ip', '')::inet <<= ANY (r.ip_allow), false) THEN 'ip_refused'
      WHEN NOT (nodeai.scope_covers(r.scopes, wanted)
        AND nodeai.scope_covers(nodeai.scopes_of(r.member_role), wanted)) THEN 'scope_missing'
      ELSE 'ok' END;
    held := r.scopes;
  ELSE
    IF sub IS NULL OR sub !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN
      RETURN QUERY SELECT jsonb_build_object('outcome', 'not_a_member', 'now_us', now_us), '{"role":"anon"}', 'anon';
      RETURN;
    END IF;
    FOR attempt IN 1..2 LOOP
      SELECT u.id AS user_id, m.org_id, m.role AS member_role, NULL::uuid AS key_id, NULL::uuid[] AS workflow_ids,
             o.rate_per_minute AS org_rate, o.rate_burst AS org_burst,
             NULL::integer AS key_rate, NULL::integer AS key_burst
        INTO r
        FROM public.profiles u
        LEFT JOIN public.organization_members m
          ON m.user_id = u.id AND m.org_id = coalesce((p ->> 'org_id')::uuid, u.default_org_id)
        LEFT JOIN public.organizations o ON o.id = m.org_id
        WHERE u.id = sub::uuid;
      EXIT WHEN r.user_id IS NOT NULL OR attempt = 2;
      PERFORM nodeai.ensure_user(sub::uuid, p -> 'claims' ->> 'email');
    END LOOP;
    held := nodeai.scopes_of(r.member_role);
    outcome := CASE
      WHEN r.member_role IS NULL THEN 'not_a_member'
      WHEN NOT nodeai.scope_covers(held, wanted) THEN 'scope_missing'
      ELSE 'ok' END;
  END IF;

  IF outcome = 'ok' THEN
    per_minute := least(r.key_rate, coalesce(r.org_rate, 6000));
    burst := least(r.key_burst, coalesce(r.org_burst, 1000));
    step := 60000000 / per_minute;
    increment := step * coalesce((p ->> 'cost')::integer, 1);
    INSERT INTO nodeai.rate_limit_buckets AS b (id, tat_us, admitted)
      VALUES (coalesce(r.key_id, r.user_id), now_us + increment, true)
    ON CONFLICT (id) DO UPDATE SET
      admitted = greatest(b.tat_us, now_us) + increment - now_us <= step * burst,
      tat_us = CASE WHEN greatest(b.tat_us, now_us) + increment - now_us <= step * burst
                    THEN greatest(b.tat_us, now_us) + increment ELSE b.tat_us END
    RETURNING b.tat_us, b.admitted INTO tat, admitted;
    IF NOT admitted THEN
      outcome := 'rate_limited';
    END IF;
    rate := jsonb_build_object(
      'limit', per_minute, 'window_s', 60, 'burst', burst,
      'remaining', greatest(0, (step * burst - (tat - now_us)) / step),
      'reset_ms', greatest(0, (tat - now_us + 999) / 1000),
      'retry_after_ms', CASE WHEN admitted THEN 0
        ELSE greatest(1, (tat + increment - now_us - step * burst + 999) / 1000) END);
  END IF;

  principal := jsonb_build_object(
    'outcome', outcome, 'user_id', r.user_id, 'org_id', r.org_id, 'member_role', r.member_role, 'key_id', r.key_id,
    'scopes', coalesce(held, '{}'), 'workflow_ids', r.workflow_ids, 'rate', rate, 'now_us', now_us);
  IF outcome = 'ok' THEN
    role := 'authenticated';
    claims := jsonb_build_object(
      'sub', r.user_id, 'role', 'authenticated', 'org_id', r.org_id, 'member_role', r.member_role,
      'key_id', r.key_id, 'scopes', held, 'workflow_ids', r.workflow_ids, 'nonce', p ->> 'nonce')::text;
  ELSE
    role := 'anon';
    claims := '{"role":"anon"}';
  END IF;
  RETURN NEXT;
END
$$;
SELECT nodeai.expose('nodeai.admit(jsonb)', '{nodeai_app,service_role}');

-- The same for backends that reach functions by REST: one object, `claims` as JSON text.
CREATE FUNCTION public.admit(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT to_jsonb(a) FROM nodeai.admit(p) a $$;
SELECT nodeai.expose('public.admit(jsonb)', '{service_role}');

-- First start and the command line (owner only) --------------------------------------------------------------------

-- Adds a key unless its hash is known. `org` and `holder` must exist.
CREATE FUNCTION nodeai.add_key(p jsonb, holder uuid, org uuid) RETURNS boolean
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  INSERT INTO public.api_keys (id, org_id, user_id, name, prefix, key_hash, last4, scopes, expires_at, created_by)
  VALUES (
    (p ->> 'key_id')::uuid, org, holder, coalesce(p ->> 'name', 'local'), p ->> 'key_prefix', p ->> 'key_hash',
    p ->> 'key_last4', ARRAY(SELECT jsonb_array_elements_text(coalesce(p -> 'scopes', '["*"]'))),
    nodeai.from_us((p ->> 'expires_us')::bigint), holder)
  ON CONFLICT (key_hash) DO NOTHING;
  RETURN FOUND;
END
$$;
SELECT nodeai.expose('nodeai.add_key(jsonb, uuid, uuid)', '{}');

-- A local user, its organisation and a key; idempotent on the e-mail address and on the key's hash.
CREATE FUNCTION nodeai.bootstrap_local(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  holder uuid;
  org uuid;
  created boolean := false;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('nodeai.bootstrap_local', 0));
  SELECT u.id, u.default_org_id INTO holder, org
    FROM public.profiles u WHERE u.email = p ->> 'email' ORDER BY u.created_at, u.id LIMIT 1;
  IF holder IS NULL THEN
    holder := (p ->> 'user_id')::uuid;
    org := nodeai.ensure_user(holder, p ->> 'email', (p ->> 'org_id')::uuid);
    created := true;
  END IF;
  PERFORM nodeai.add_key(p, holder, org);
  RETURN jsonb_build_object('user_id', holder, 'org_id', org, 'created', created,
    'key_id', (SELECT k.id FROM public.api_keys k WHERE k.key_hash = p ->> 'key_hash'));
END
$$;
SELECT nodeai.expose('nodeai.bootstrap_local(jsonb)', '{}');

-- A key for `user_id`, or for the first user of this database when it is null.
CREATE FUNCTION nodeai.create_api_key(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  holder uuid;
  org uuid;
  created boolean;
BEGIN
  SELECT u.id, u.default_org_id INTO holder, org
    FROM public.profiles u
    WHERE (p ->> 'user_id') IS NULL OR u.id = (p ->> 'user_id')::uuid
    ORDER BY u.created_at, u.id LIMIT 1;
  IF org IS NULL THEN
    RAISE EXCEPTION 'no such user, or the user has no organisation' USING ERRCODE = 'no_data_found';
  END IF;
  created := nodeai.add_key(p, holder, org);
  RETURN jsonb_build_object('user_id', holder, 'org_id', org, 'created', created,
    'key_id', (SELECT k.id FROM public.api_keys k WHERE k.key_hash = p ->> 'key_hash'));
END
$$;
SELECT nodeai.expose('nodeai.create_api_key(jsonb)', '{}');
