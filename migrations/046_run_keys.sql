-- Keys of runs: with one a run reaches the platform's own areas (files, knowledge bases, tools) as its owner, while it is at work.

CREATE TABLE nodeai.run_keys (
  key_hash text PRIMARY KEY CONSTRAINT run_keys_hash_format CHECK (key_hash ~ '^[0-9a-f]{64}$'),
  org_id uuid NOT NULL CONSTRAINT run_keys_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  execution_id uuid NOT NULL CONSTRAINT run_keys_execution REFERENCES public.execution_queue (id) ON DELETE CASCADE,
  expires_at timestamptz NOT NULL
);
CREATE INDEX run_keys_execution_idx ON nodeai.run_keys (execution_id);
CREATE INDEX run_keys_org_idx ON nodeai.run_keys (org_id);
CREATE INDEX run_keys_expires_idx ON nodeai.run_keys (expires_at);
SELECT nodeai.lock_table('nodeai.run_keys');

-- {"org_id","execution_id","key_hash"} → {"outcome":"made","expires_us"} or {"outcome":"missing"}: a key for a run of the caller's that is
-- at work. Whoever makes one sweeps some that are over.
CREATE FUNCTION nodeai.make_run_key(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  until timestamptz := clock_timestamp() + interval '15 minutes';
  -- A user's own token does not say it.
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
BEGIN
  DELETE FROM nodeai.run_keys k WHERE k.key_hash IN (
    SELECT x.key_hash FROM nodeai.run_keys x WHERE x.expires_at < clock_timestamp()
      ORDER BY x.expires_at LIMIT 20 FOR UPDATE SKIP LOCKED);
  INSERT INTO nodeai.run_keys (key_hash, org_id, execution_id, expires_at)
    SELECT p ->> 'key_hash', q.org_id, q.id, until FROM public.execution_queue q
    WHERE q.id = (p ->> 'execution_id')::uuid AND q.org_id = org AND q.user_id = auth.uid() AND q.status = 'running';
  RETURN CASE WHEN FOUND THEN jsonb_build_object('outcome', 'made', 'expires_us', nodeai.to_us(until))
    ELSE '{"outcome":"missing"}'::jsonb END;
END
$$;
SELECT nodeai.expose('nodeai.make_run_key(jsonb)', '{authenticated}');

CREATE FUNCTION public.run_key(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.make_run_key(p) $$;
SELECT nodeai.expose('public.run_key(jsonb)', '{authenticated}');
SELECT nodeai.allow_call('run_key');

-- What a run may do in the areas: those of these scopes that its owner's role has; of a definition that came in the request, only
-- those that the key has, too. A stored workflow was written by somebody who may write workflows.
CREATE FUNCTION nodeai.scopes_of_run(q public.execution_queue, member_role text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT coalesce(array_agg(s.scope ORDER BY s.scope), '{}')
  FROM unnest(ARRAY['files:read', 'files:write', 'knowledge:read', 'knowledge:run', 'tools:read', 'tools:run',
    'webhooks:run']) s (scope)
  WHERE nodeai.scope_covers(nodeai.scopes_of(member_role), s.scope)
    AND (q.key_id IS NULL OR q.workflow_id IS NOT NULL OR EXISTS (
      SELECT FROM public.api_keys k WHERE k.id = q.key_id AND nodeai.scope_covers(k.scopes, s.scope)))
$$;
SELECT nodeai.expose('nodeai.scopes_of_run(public.execution_queue, text)', '{}');

-- As nodeai.admit, for the key of a run.
CREATE FUNCTION nodeai.admit_run(p jsonb) RETURNS TABLE (principal jsonb, claims text, role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
  at timestamptz := clock_timestamp();
  now_us bigint := nodeai.to_us(at);
  k nodeai.run_keys;
  q public.execution_queue;
  org public.organizations;
  member text;
  held text[] := '{}';
  limited_to uuid[];
  outcome text;
  rate jsonb;
BEGIN
  SELECT * INTO k FROM nodeai.run_keys x WHERE x.key_hash = p ->> 'key_hash';
  SELECT * INTO q FROM public.execution_queue x WHERE x.id = k.execution_id AND x.org_id = k.org_id;
  SELECT * INTO org FROM public.organizations o WHERE o.id = q.org_id;
  SELECT m.role INTO member FROM public.organization_members m JOIN public.profiles u ON u.id = m.user_id
    WHERE m.user_id = q.user_id AND m.org_id = q.org_id AND u.deleting_at IS NULL;
  held := nodeai.scopes_of_run(q, member);
  outcome := CASE
    WHEN k.key_hash IS NULL OR q.id IS NULL THEN 'unknown_key'
    WHEN k.expires_at <= at OR q.status <> 'running' THEN 'key_expired'
    WHEN q.key_id IS NOT NULL AND NOT EXISTS (SELECT FROM public.api_keys x WHERE x.id = q.key_id AND x.revoked_at IS NULL)
      THEN 'key_revoked'
    WHEN member IS NULL OR (p ->> 'org_id')::uuid <> q.org_id THEN 'not_a_member'
    WHEN coalesce(p ->> 'scope', '') <> ALL (held) THEN 'scope_missing'
    ELSE 'ok' END;
  IF outcome = 'ok' THEN
    SELECT x.workflow_ids INTO limited_to FROM public.api_keys x WHERE x.id = q.key_id;
    rate := nodeai.rate_take(q.org_id, q.user_id, q.key_id, p ->> 'route', coalesce(org.rate_per_minute, 6000),
      coalesce(org.rate_burst, 1000), now_us, coalesce((p ->> 'cost')::integer, 1));
    IF NOT (rate ->> 'admitted')::boolean THEN
      outcome := 'rate_limited';
    END IF;
  ELSE
    PERFORM nodeai.note_refusal(outcome, q.org_id, q.user_id, q.key_id, p);
  END IF;
  principal := jsonb_build_object(
    'outcome', outcome, 'user_id', q.user_id, 'org_id', q.org_id, 'member_role', member, 'key_id', q.key_id,
    'scopes', held, 'workflow_ids', limited_to, 'rate', rate, 'now_us', now_us);
  role := CASE WHEN outcome = 'ok' THEN 'authenticated' ELSE 'anon' END;
  claims := CASE WHEN outcome = 'ok' THEN jsonb_build_object(
      'sub', q.user_id, 'role', 'authenticated', 'org_id', q.org_id, 'member_role', member, 'key_id', q.key_id,
      'scopes', held, 'workflow_ids', limited_to, 'execution_id', q.id, 'nonce', p ->> 'nonce')::text
    ELSE '{"role":"anon"}' END;
  RETURN NEXT;
END
$$;
SELECT nodeai.expose('nodeai.admit_run(jsonb)', '{nodeai_app,service_role}');

CREATE FUNCTION public.admit_run(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT to_jsonb(a) FROM nodeai.admit_run(p) a $$;
SELECT nodeai.expose('public.admit_run(jsonb)', '{service_role}');
