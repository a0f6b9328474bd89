-- Policies of the rate limit, usage of API keys, and their rotation.

-- A policy beside everybody's own bucket. `subject` says whose requests share a bucket: all of the organisation, each
-- user's, each key's; `subject_id` narrows it to one of them, `route` to one route ("POST /api/v1/workflows/execute").
CREATE TABLE public.rate_limits (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT rate_limits_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT rate_limits_name_format CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,49}$'),
  subject text NOT NULL CONSTRAINT rate_limits_subject CHECK (subject IN ('organization', 'user', 'key')),
  subject_id uuid,
  route text CONSTRAINT rate_limits_route_format CHECK (char_length(route) <= 320 AND route ~ '^(GET|POST|PUT|PATCH|DELETE) /[!-~]*$'),
  per_minute integer NOT NULL CONSTRAINT rate_limits_per_minute CHECK (per_minute BETWEEN 1 AND 60000000),
  burst integer NOT NULL CONSTRAINT rate_limits_burst CHECK (burst > 0),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT rate_limits_name_unique UNIQUE (org_id, name)
);
SELECT nodeai.tenant_table('public.rate_limits', 'viewer', 'admin');
SELECT nodeai.allow_write('rate_limits', '{name,subject,subject_id,route,per_minute,burst,created_at,updated_at}',
  '{subject,subject_id,route,per_minute,burst,updated_at}');

-- Uses since the last batch: counted in the row that admission writes anyway.
ALTER TABLE nodeai.rate_limit_buckets ADD COLUMN uses bigint NOT NULL DEFAULT 0, ADD COLUMN last_us bigint;

-- The buckets of an organisation's policies that a request falls into.
CREATE FUNCTION nodeai.policies_of(org uuid, caller uuid, key uuid, wanted_route text)
RETURNS TABLE (bucket uuid, name text, per_minute bigint, burst bigint)
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT md5(l.id::text || coalesce(CASE l.subject WHEN 'user' THEN caller WHEN 'key' THEN key END::text, ''))::uuid,
         l.name, l.per_minute::bigint, l.burst::bigint
  FROM public.rate_limits l
  WHERE l.org_id = org AND (l.route IS NULL OR l.route = wanted_route)
    AND CASE l.subject WHEN 'user' THEN l.subject_id IS NULL OR l.subject_id = caller
                       WHEN 'key' THEN key IS NOT NULL AND (l.subject_id IS NULL OR l.subject_id = key)
                       ELSE true END
  ORDER BY 1
$$;
SELECT nodeai.expose('nodeai.policies_of(uuid, uuid, uuid, text)', '{}');

-- GCRA on one bucket; `take` false only looks, and holds the bucket until the transaction ends.
CREATE FUNCTION nodeai.bucket_take(
  bucket uuid, policy text, per_minute bigint, burst bigint, now_us bigint, cost integer, take boolean)
RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  step bigint := greatest(1, 60000000 / bucket_take.per_minute);
  increment bigint := step * cost;
  room bigint := step * bucket_take.burst;
  tat bigint;
  admitted boolean;
BEGIN
  INSERT INTO nodeai.rate_limit_buckets AS b (id, tat_us, admitted, uses, last_us)
    VALUES (bucket, CASE WHEN take THEN now_us + increment ELSE now_us END, true, take::integer, now_us)
  ON CONFLICT (id) DO UPDATE SET
    admitted = greatest(b.tat_us, now_us) + increment - now_us <= room,
    tat_us = CASE WHEN take AND greatest(b.tat_us, now_us) + increment - now_us <= room
                  THEN greatest(b.tat_us, now_us) + increment ELSE b.tat_us END,
    uses = b.uses + take::integer, last_us = CASE WHEN take THEN now_us ELSE b.last_us END
  RETURNING b.tat_us, b.admitted INTO tat, admitted;
  RETURN jsonb_build_object('policy', policy, 'admitted', admitted,
    'limit', bucket_take.per_minute, 'window_s', 60, 'burst', bucket_take.burst,
    'remaining', greatest(0, (room - greatest(0, tat - now_us) - CASE WHEN take THEN 0 ELSE increment END) / step),
    'reset_ms', greatest(0, (tat - now_us + CASE WHEN take OR NOT admitted THEN 0 ELSE increment END + 999) / 1000),
    'retry_after_ms', CASE WHEN admitted THEN 0
      ELSE greatest(1, (greatest(tat, now_us) + increment - now_us - room + 999) / 1000) END);
END
$$;
SELECT nodeai.expose('nodeai.bucket_take(uuid, text, bigint, bigint, bigint, integer, boolean)', '{}');

-- Takes from every bucket of a request or from none. Returns the state of the tightest one, with the names and sizes of
-- all. Policies are held in the order of their ids and the caller's own bucket last, so two requests never wait for
-- each other.
CREATE FUNCTION nodeai.rate_take(
  org uuid, caller uuid, key uuid, wanted_route text, own_rate bigint, own_burst bigint, now_us bigint, cost integer)
RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  policy record;
  state jsonb;
  states jsonb[] := '{}';
  buckets uuid[] := '{}';
  tightest jsonb;
BEGIN
  FOR policy IN SELECT * FROM nodeai.policies_of(org, caller, key, wanted_route) LOOP
    state := nodeai.bucket_take(policy.bucket, policy.name, policy.per_minute, policy.burst, now_us, cost, false);
    states := states || state;
    buckets := buckets || policy.bucket;
  END LOOP;
  IF NOT EXISTS (SELECT FROM unnest(states) s WHERE NOT (s ->> 'admitted')::boolean) THEN
    state := nodeai.bucket_take(coalesce(key, caller), 'default', own_rate, own_burst, now_us, cost, true);
    IF (state ->> 'admitted')::boolean AND cardinality(buckets) > 0 THEN
      UPDATE nodeai.rate_limit_buckets b
        SET tat_us = greatest(b.tat_us, now_us) + (60000000 / p.per_minute) * cost, uses = b.uses + 1, last_us = now_us
        FROM nodeai.policies_of(org, caller, key, wanted_route) p WHERE b.id = p.bucket;
    END IF;
    states := states || state;
  END IF;
  SELECT s INTO tightest FROM unnest(states) s
    ORDER BY (s ->> 'admitted')::boolean, (s ->> 'retry_after_ms')::bigint DESC,
             (s ->> 'remaining')::numeric / (s ->> 'burst')::numeric LIMIT 1;
  RETURN tightest || jsonb_build_object('policies', (
    SELECT jsonb_agg(jsonb_build_object('policy', s -> 'policy', 'limit', s -> 'limit', 'window_s', s -> 'window_s'))
    FROM unnest(states) s));
END
$$;
SELECT nodeai.expose('nodeai.rate_take(uuid, uuid, uuid, text, bigint, bigint, bigint, integer)', '{}');

-- A refusal that looks like an attack leaves an audit row, once a minute per key and reason.
CREATE FUNCTION nodeai.note_refusal(org uuid, caller uuid, key uuid, reason text, now_us bigint, ip text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  INSERT INTO nodeai.rate_limit_buckets AS b (id, tat_us, admitted)
    VALUES (md5(key::text || reason)::uuid, now_us + 60000000, false)
  ON CONFLICT (id) DO UPDATE SET tat_us = excluded.tat_us WHERE b.tat_us <= now_us;
  IF FOUND THEN
    PERFORM nodeai.append_audit(org, caller, key, jsonb_build_object('action', 'auth.refused',
      'resource_type', 'api_key', 'resource_id', key, 'details', jsonb_build_object('reason', reason, 'ip', ip)));
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.note_refusal(uuid, uuid, uuid, text, bigint, text)', '{}');

-- As before, with policies: {"kind","key_hash"|"claims","org_id","scope","cost","ip","nonce","route"}.
CREATE OR REPLACE FUNCTION nodeai.admit(p jsonb) RETURNS TABLE (principal jsonb, claims text, role text)
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
    IF outcome IN ('key_revoked', 'key_expired', 'ip_refused') THEN
      PERFORM nodeai.note_refusal(r.org_id, r.user_id, r.key_id, outcome, now_us, p ->> 'ip');
    END IF;
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
    rate := nodeai.rate_take(r.org_id, r.user_id, r.key_id, p ->> 'route',
      least(r.key_rate, coalesce(r.org_rate, 6000)), least(r.key_burst, coalesce(r.org_burst, 1000)),
      now_us, coalesce((p ->> 'cost')::integer, 1));
    IF NOT (rate ->> 'admitted')::boolean THEN
      outcome := 'rate_limited';
    END IF;
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

-- Writes the uses counted since the last batch to the keys. Returns how many keys were used.
CREATE FUNCTION nodeai.fold_key_usage() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  n bigint;
BEGIN
  WITH counted AS (
    SELECT b.id, b.uses, b.last_us FROM nodeai.rate_limit_buckets b
    WHERE b.uses > 0 AND EXISTS (SELECT FROM public.api_keys k WHERE k.id = b.id)
    ORDER BY b.id FOR UPDATE
  ), taken AS (
    UPDATE nodeai.rate_limit_buckets b SET uses = 0 FROM counted c WHERE b.id = c.id
    RETURNING c.id, c.uses, c.last_us
  )
  UPDATE public.api_keys k SET usage_count = k.usage_count + t.uses,
    last_used_at = greatest(k.last_used_at, nodeai.from_us(t.last_us))
  FROM taken t WHERE k.id = t.id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
SELECT nodeai.expose('nodeai.fold_key_usage()', '{}');

CREATE OR REPLACE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
  RETURN jsonb_build_object('keys_used', nodeai.fold_key_usage())
    || jsonb_build_object('partitions_made', nodeai.add_partitions(today - 1, today + 7))
    || nodeai.apply_retention(today)
    || nodeai.expire()
    || jsonb_build_object('runs_abandoned', nodeai.fail_abandoned());
END
$$;

-- A new key in the place of an old one, which goes on for `overlap_s`. {"id","expect_version"?,"overlap_s","key":{id,
-- prefix, key_hash, last4}} → the new key's row in the answer's body. Only for the own key: it acts as its user.
CREATE FUNCTION nodeai.do_rotate_key(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  old public.api_keys;
  made public.api_keys;
  until timestamptz := clock_timestamp() + coalesce((args ->> 'overlap_s')::integer, 0) * interval '1 second';
BEGIN
  SELECT * INTO old FROM public.api_keys k WHERE k.id = (args ->> 'id')::uuid AND k.org_id = org FOR UPDATE;
  IF old.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF old.revoked_at IS NOT NULL OR old.expires_at <= clock_timestamp() THEN
    RAISE EXCEPTION 'a key that was revoked or has expired cannot be rotated' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.insert_row('api_keys', (args -> 'key' ->> 'id')::uuid, org, jsonb_strip_nulls(jsonb_build_object(
    'user_id', old.user_id, 'name', old.name, 'prefix', args -> 'key' ->> 'prefix',
    'key_hash', args -> 'key' ->> 'key_hash', 'last4', args -> 'key' ->> 'last4', 'scopes', old.scopes,
    'workflow_ids', old.workflow_ids, 'ip_allow', old.ip_allow, 'rate_per_minute', old.rate_per_minute,
    'rate_burst', old.rate_burst, 'expires_at', old.expires_at, 'rotated_from', old.id)));
  PERFORM nodeai.change_row('api_keys', 'update', old.id, org,
    jsonb_build_object('expires_at', least(old.expires_at, until)), (args ->> 'expect_version')::integer);
  SELECT * INTO made FROM public.api_keys k WHERE k.id = (args -> 'key' ->> 'id')::uuid;
  RETURN jsonb_build_object('body', to_jsonb(made) - ARRAY['key_hash', 'org_id', 'created_by'],
    'changes', jsonb_build_object('replaced_by', made.id, 'old_expires_at', least(old.expires_at, until)));
END
$$;
SELECT nodeai.expose('nodeai.do_rotate_key(uuid, jsonb)', '{authenticated}');
