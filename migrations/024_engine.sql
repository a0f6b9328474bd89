-- What the engine needs beyond one workflow: called workflows, results of calls that count again, nodes that wait for
-- somebody.

-- Results of calls, by what they sent. A result counts until `expires_at`; whoever keeps one sweeps some that do not
-- count any more.
CREATE TABLE public.node_cache (
  org_id uuid NOT NULL CONSTRAINT node_cache_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  key text NOT NULL CONSTRAINT node_cache_key CHECK (key ~ '^[0-9a-f]{64}$'),
  output jsonb NOT NULL,
  handle text NOT NULL CONSTRAINT node_cache_handle_length CHECK (char_length(handle) BETWEEN 1 AND 128),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (org_id, key)
);
CREATE INDEX node_cache_expires_idx ON public.node_cache (org_id, expires_at);
SELECT nodeai.tenant_table('public.node_cache', 'editor', 'editor', 'SELECT, INSERT, DELETE');
GRANT UPDATE (output, handle, expires_at) ON public.node_cache TO authenticated;

-- {"org_id","key"} → {"output","handle"} or null.
CREATE FUNCTION public.cache_get(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('output', c.output, 'handle', c.handle)
  FROM public.node_cache c
  WHERE c.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
    AND c.key = p ->> 'key' AND c.expires_at > clock_timestamp()
$$;
SELECT nodeai.expose('public.cache_get(jsonb)', '{authenticated,service_role}');

-- {"org_id","key","output","handle","ttl_us"} → {"outcome":"kept|forbidden"}.
CREATE FUNCTION public.cache_put(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
BEGIN
  INSERT INTO public.node_cache AS c (org_id, key, output, handle, expires_at)
  VALUES (org, p ->> 'key', p -> 'output', p ->> 'handle',
    clock_timestamp() + (p ->> 'ttl_us')::bigint * interval '1 microsecond')
  ON CONFLICT (org_id, key) DO UPDATE SET
    output = excluded.output, handle = excluded.handle, expires_at = excluded.expires_at;
  DELETE FROM public.node_cache c WHERE c.org_id = org AND c.key IN (
    SELECT x.key FROM public.node_cache x WHERE x.org_id = org AND x.expires_at < clock_timestamp() LIMIT 20);
  RETURN '{"outcome":"kept"}';
EXCEPTION WHEN insufficient_privilege THEN
  RETURN '{"outcome":"forbidden"}';
END
$$;
SELECT nodeai.expose('public.cache_put(jsonb)', '{authenticated,service_role}');

-- Versions of workflows that others call, as far as they are there for the caller.
-- {"workflows":[{"workflow_id","version"}]} → [{"workflow_id","version","definition"}].
CREATE FUNCTION public.run_library(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(wanted || jsonb_build_object('definition', found -> 'definition')), '[]')
  FROM jsonb_array_elements(p -> 'workflows') wanted
  CROSS JOIN LATERAL nodeai.runnable((wanted ->> 'workflow_id')::uuid, (wanted ->> 'version')::integer) found
  WHERE found IS NOT NULL
$$;
SELECT nodeai.expose('public.run_library(jsonb)', '{authenticated,service_role}');

-- Waiting for somebody ----------------------------------------------------------------------------------------------

-- `waits`: what the run waits for, as its runner said last. `answers`: what somebody said, for the runner to fetch.
ALTER TABLE public.execution_queue
  ADD COLUMN waits jsonb NOT NULL DEFAULT '[]' CONSTRAINT execution_queue_waits CHECK (jsonb_typeof(waits) = 'array'),
  ADD COLUMN answers jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT execution_queue_answers CHECK (jsonb_typeof(answers) = 'array');

CREATE OR REPLACE FUNCTION nodeai.execution_json(e public.execution_queue) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object(
    'id', e.id, 'org_id', e.org_id, 'workflow_id', e.workflow_id, 'workflow_version', e.workflow_version,
    'deployment_id', e.deployment_id, 'deployment_version', e.deployment_version, 'environment', e.environment,
    'variables', e.variables,
    'trace_id', e.trace_id, 'user_id', e.user_id, 'key_id', e.key_id, 'status', e.status, 'mode', e.mode,
    'inputs', e.inputs, 'outputs', e.outputs, 'error', e.error, 'prompt_tokens', e.prompt_tokens,
    'completion_tokens', e.completion_tokens, 'cost_pusd', e.cost_pusd, 'attempts', e.attempts,
    'lease_token', e.lease_token, 'cancel_requested', e.cancel_requested_at IS NOT NULL,
    'waits', CASE WHEN e.status IN ('running', 'waiting') THEN e.waits ELSE '[]' END,
    'created_us', nodeai.to_us(e.created_at), 'started_us', nodeai.to_us(e.started_at),
    'finished_us', nodeai.to_us(e.finished_at), 'heartbeat_us', nodeai.to_us(e.heartbeat_at));

-- A runner's sign of life; extends its lease, says what the run waits for, fetches answers it has not seen.
-- {"id","org_id","lease_token"?,"lease_us"?,"waits"?,"answers_seen"?} →
-- {"outcome":"ok|lost","cancel_requested","answers"}.
CREATE OR REPLACE FUNCTION public.run_heartbeat(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  cancel boolean;
  said jsonb;
BEGIN
  UPDATE public.execution_queue q SET
    heartbeat_at = clock_timestamp(),
    lease_until = clock_timestamp() + coalesce((p ->> 'lease_us')::bigint, 60000000) * interval '1 microsecond',
    waits = coalesce(nullif(p -> 'waits', 'null'), q.waits)
  WHERE q.id = (p ->> 'id')::uuid
    AND q.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
    AND q.status = 'running'
    AND (p ->> 'lease_token' IS NULL OR q.lease_token = (p ->> 'lease_token')::bigint)
  RETURNING q.cancel_requested_at IS NOT NULL, q.answers INTO cancel, said;
  RETURN jsonb_build_object('outcome', CASE WHEN cancel IS NULL THEN 'lost' ELSE 'ok' END,
    'cancel_requested', coalesce(cancel, false),
    'answers', (SELECT coalesce(jsonb_agg(answer ORDER BY place), '[]')
      FROM jsonb_array_elements(coalesce(said, '[]')) WITH ORDINALITY AS x(answer, place)
      WHERE place > coalesce((p ->> 'answers_seen')::bigint, 0)));
END
$$;

-- An answer to a node that waits: the first one counts.
-- {"id","org_id","answer":{"node","handle","output"}} → {"outcome":"answered|not_waiting|already|missing|forbidden",
-- "execution"}.
CREATE FUNCTION public.run_answer(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  run uuid := (p ->> 'id')::uuid;
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  which jsonb := jsonb_build_array(jsonb_build_object('node', p -> 'answer' ->> 'node'));
  q public.execution_queue;
BEGIN
  UPDATE public.execution_queue x SET answers = x.answers || jsonb_build_array(p -> 'answer'),
      run_after = CASE WHEN x.status = 'waiting' THEN clock_timestamp() ELSE x.run_after END
    WHERE x.id = run AND x.org_id = org AND x.status IN ('running', 'waiting')
      AND x.waits @> which AND NOT x.answers @> which
    RETURNING * INTO q;
  IF FOUND THEN
    RETURN jsonb_build_object('outcome', 'answered', 'execution', nodeai.execution_json(q));
  END IF;
  SELECT * INTO q FROM public.execution_queue x WHERE x.id = run AND x.org_id = org;
  RETURN CASE
    WHEN q.id IS NULL THEN '{"outcome":"missing"}'::jsonb
    WHEN q.answers @> which THEN '{"outcome":"already"}'
    WHEN q.status NOT IN ('running', 'waiting') OR NOT q.waits @> which THEN '{"outcome":"not_waiting"}'
    ELSE '{"outcome":"forbidden"}' END;
END
$$;
SELECT nodeai.expose('public.run_answer(jsonb)', '{authenticated,service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['cache_get', 'cache_put', 'run_library', 'run_answer']) fn;
