-- Executions and their run logs: start, commit, cancel, abandon, get.

CREATE TABLE public.execution_queue (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT execution_queue_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  workflow_id uuid,
  workflow_version integer,
  trace_id text NOT NULL CONSTRAINT execution_queue_trace_id CHECK (trace_id ~ '^[0-9a-f]{32}$'),
  user_id uuid,
  key_id uuid,
  status text NOT NULL CONSTRAINT execution_queue_status
    CHECK (status IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
  mode text NOT NULL DEFAULT 'sync' CONSTRAINT execution_queue_mode CHECK (mode IN ('sync', 'stream', 'queued')),
  definition jsonb,
  inputs jsonb,
  outputs jsonb,
  error jsonb,
  prompt_tokens bigint NOT NULL DEFAULT 0,
  completion_tokens bigint NOT NULL DEFAULT 0,
  cost_pusd bigint NOT NULL DEFAULT 0,
  priority integer NOT NULL DEFAULT 0,
  concurrency_key text,
  run_after timestamptz,
  attempts integer NOT NULL DEFAULT 0,
  lease_token bigint NOT NULL DEFAULT 0,
  lease_until timestamptz,
  heartbeat_at timestamptz,
  cancel_requested_at timestamptz,
  idempotency_principal uuid,
  idempotency_key text CONSTRAINT execution_queue_key_length CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
  idempotency_hash text,
  created_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT execution_queue_org_id_unique UNIQUE (org_id, id)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX execution_queue_idempotency_unique
  ON public.execution_queue (org_id, idempotency_principal, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX execution_queue_workflow_idx ON public.execution_queue (org_id, workflow_id, id DESC)
  WHERE workflow_id IS NOT NULL;
CREATE INDEX execution_queue_trace_idx ON public.execution_queue (org_id, trace_id);
CREATE INDEX execution_queue_due_idx ON public.execution_queue (priority DESC, run_after, id) WHERE status = 'queued';
CREATE INDEX execution_queue_lease_idx ON public.execution_queue (lease_until) WHERE status IN ('running', 'waiting');
CREATE INDEX execution_queue_failed_idx ON public.execution_queue (org_id, id DESC) WHERE status = 'failed';
CREATE INDEX execution_queue_claims_idx ON public.execution_queue (created_at) WHERE idempotency_key IS NOT NULL;
SELECT nodeai.tenant_table('public.execution_queue', 'viewer', 'editor', 'SELECT, INSERT, UPDATE, DELETE');

-- The run log in segments; append-only.
CREATE TABLE public.run_log_segments (
  org_id uuid NOT NULL,
  execution_id uuid NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  events jsonb NOT NULL CONSTRAINT run_log_segments_events CHECK (jsonb_typeof(events) = 'array'),
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, execution_id, first_seq),
  CONSTRAINT run_log_segments_order CHECK (last_seq >= first_seq),
  CONSTRAINT run_log_segments_execution
    FOREIGN KEY (org_id, execution_id) REFERENCES public.execution_queue (org_id, id) ON DELETE CASCADE
);
SELECT nodeai.tenant_table('public.run_log_segments', 'viewer', 'editor', 'SELECT, INSERT');

CREATE FUNCTION nodeai.execution_json(e public.execution_queue) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object(
    'id', e.id, 'org_id', e.org_id, 'workflow_id', e.workflow_id, 'workflow_version', e.workflow_version,
    'trace_id', e.trace_id, 'user_id', e.user_id, 'key_id', e.key_id, 'status', e.status, 'mode', e.mode,
    'inputs', e.inputs, 'outputs', e.outputs, 'error', e.error, 'prompt_tokens', e.prompt_tokens,
    'completion_tokens', e.completion_tokens, 'cost_pusd', e.cost_pusd, 'attempts', e.attempts,
    'lease_token', e.lease_token, 'cancel_requested', e.cancel_requested_at IS NOT NULL,
    'created_us', nodeai.to_us(e.created_at), 'started_us', nodeai.to_us(e.started_at),
    'finished_us', nodeai.to_us(e.finished_at), 'heartbeat_us', nodeai.to_us(e.heartbeat_at));
SELECT nodeai.expose('nodeai.execution_json(public.execution_queue)', '{authenticated,service_role}');

-- The workflow to run, at `wanted` version or the current one; null when it is not there for the caller, or not among
-- the workflows that the caller's key is limited to.
CREATE FUNCTION nodeai.runnable(workflow uuid, wanted integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  limited_to jsonb := nullif(nodeai.claims() -> 'workflow_ids', 'null');
  found jsonb;
BEGIN
  IF limited_to IS NOT NULL AND NOT limited_to ? workflow::text THEN
    RETURN NULL;
  END IF;
  IF wanted IS NULL THEN
    SELECT jsonb_build_object('id', w.id, 'name', w.name, 'version', w.version, 'definition', w.definition)
      INTO found FROM public.workflows w WHERE w.id = workflow AND w.deleted_at IS NULL;
  ELSE
    SELECT jsonb_build_object('id', w.id, 'name', w.name, 'version', wanted,
        'definition', CASE WHEN w.version = wanted THEN w.definition ELSE v.definition END)
      INTO found
      FROM public.workflows w
      LEFT JOIN public.workflow_versions v ON v.workflow_id = w.id AND v.number = wanted
      WHERE w.id = workflow AND w.deleted_at IS NULL AND (w.version = wanted OR v.number IS NOT NULL);
  END IF;
  RETURN found;
END
$$;
SELECT nodeai.expose('nodeai.runnable(uuid, integer)', '{authenticated,service_role}');

-- The execution that already holds an idempotency key: {"outcome":"replayed"|"key_reused", "execution"} or null.
CREATE FUNCTION nodeai.claimed_run(org uuid, claim jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT CASE WHEN e.idempotency_hash IS DISTINCT FROM claim ->> 'request_hash'
    THEN '{"outcome":"key_reused"}'::jsonb
    ELSE jsonb_build_object('outcome', 'replayed', 'execution', nodeai.execution_json(e)) END
  FROM public.execution_queue e
  WHERE e.org_id = org AND e.idempotency_principal = nodeai.principal_id() AND e.idempotency_key = claim ->> 'key'
$$;
SELECT nodeai.expose('nodeai.claimed_run(uuid, jsonb)', '{authenticated,service_role}');

-- Starts a run: claims the idempotency key with the execution row and loads the workflow.
-- {"execution":{id, org_id, workflow_id?, version?, trace_id, mode, status?, inputs, definition?, started_us,
-- lease_us?}, "idempotency":{key, request_hash}?} → {"outcome":"started|replayed|key_reused|missing|forbidden",
-- "execution", "workflow"}.
CREATE FUNCTION public.run_start(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e jsonb := p -> 'execution';
  org uuid := coalesce(nullif(e ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  claim jsonb := nullif(p -> 'idempotency', 'null');
  workflow jsonb;
  earlier jsonb;
  started timestamptz := coalesce(nodeai.from_us((e ->> 'started_us')::bigint), clock_timestamp());
  state text := coalesce(e ->> 'status', CASE WHEN e ->> 'mode' = 'queued' THEN 'queued' ELSE 'running' END);
  made public.execution_queue;
BEGIN
  IF claim IS NOT NULL THEN
    earlier := nodeai.claimed_run(org, claim);
    IF earlier IS NOT NULL THEN
      RETURN earlier;
    END IF;
  END IF;
  IF e ->> 'workflow_id' IS NOT NULL THEN
    workflow := nodeai.runnable((e ->> 'workflow_id')::uuid, (e ->> 'version')::integer);
    IF workflow IS NULL THEN
      RETURN '{"outcome":"missing"}';
    END IF;
  ELSIF nullif(nodeai.claims() -> 'workflow_ids', 'null') IS NOT NULL THEN
    RETURN '{"outcome":"forbidden"}'; -- a key for certain workflows runs nothing else
  END IF;
  INSERT INTO public.execution_queue (
    id, org_id, workflow_id, workflow_version, trace_id, user_id, key_id, status, mode, definition, inputs,
    priority, run_after, attempts, lease_token, lease_until, heartbeat_at, started_at,
    idempotency_principal, idempotency_key, idempotency_hash)
  VALUES (
    (e ->> 'id')::uuid, org, (workflow ->> 'id')::uuid, (workflow ->> 'version')::integer, e ->> 'trace_id',
    auth.uid(), nullif(nodeai.claims() ->> 'key_id', '')::uuid, state, coalesce(e ->> 'mode', 'sync'),
    CASE WHEN workflow IS NULL THEN nullif(e -> 'definition', 'null') END, e -> 'inputs',
    coalesce((e ->> 'priority')::integer, 0), nodeai.from_us((e ->> 'run_after_us')::bigint),
    CASE WHEN state = 'queued' THEN 0 ELSE 1 END, CASE WHEN state = 'queued' THEN 0 ELSE 1 END,
    CASE WHEN state <> 'queued' THEN clock_timestamp()
      + coalesce((e ->> 'lease_us')::bigint, 3600000000) * interval '1 microsecond' END,
    CASE WHEN state <> 'queued' THEN clock_timestamp() END, CASE WHEN state <> 'queued' THEN started END,
    CASE WHEN claim IS NOT NULL THEN nodeai.principal_id() END, claim ->> 'key', claim ->> 'request_hash')
  ON CONFLICT (org_id, idempotency_principal, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
  RETURNING * INTO made;
  IF made.id IS NULL THEN
    RETURN nodeai.claimed_run(org, claim); -- another request with this key was faster
  END IF;
  RETURN jsonb_build_object('outcome', 'started', 'execution', nodeai.execution_json(made), 'workflow', workflow);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN '{"outcome":"forbidden"}';
END
$$;
SELECT nodeai.expose('public.run_start(jsonb)', '{authenticated,service_role}');

-- Commits what a run has done: state, log segment, trace, spans, usage, all or nothing. A terminal state is final, so
-- a repeated commit answers `already`. {"execution":{id, org_id, status, outputs, error, prompt_tokens,
-- completion_tokens, cost_pusd, finished_us, lease_token?}, "first_seq","last_seq","events","trace","spans","usage"}
-- → {"outcome":"committed|already|fenced|missing"}.
CREATE FUNCTION public.run_commit(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e jsonb := p -> 'execution';
  run uuid := (e ->> 'id')::uuid;
  org uuid := coalesce(nullif(e ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  state text := e ->> 'status';
  ended boolean := state IN ('succeeded', 'failed', 'cancelled');
  trace jsonb := nullif(p -> 'trace', 'null');
  now_is text;
BEGIN
  UPDATE public.execution_queue q SET
    status = state, outputs = nullif(e -> 'outputs', 'null'), error = nullif(e -> 'error', 'null'),
    prompt_tokens = coalesce((e ->> 'prompt_tokens')::bigint, q.prompt_tokens),
    completion_tokens = coalesce((e ->> 'completion_tokens')::bigint, q.completion_tokens),
    cost_pusd = coalesce((e ->> 'cost_pusd')::bigint, q.cost_pusd),
    finished_at = CASE WHEN ended THEN coalesce(nodeai.from_us((e ->> 'finished_us')::bigint), clock_timestamp()) END,
    lease_until = CASE WHEN ended THEN NULL ELSE q.lease_until END
  WHERE q.id = run AND q.org_id = org AND q.status IN ('queued', 'running', 'waiting')
    AND (e ->> 'lease_token' IS NULL OR q.lease_token = (e ->> 'lease_token')::bigint);
  IF NOT FOUND THEN
    SELECT q.status INTO now_is FROM public.execution_queue q WHERE q.id = run AND q.org_id = org;
    RETURN jsonb_build_object('outcome', CASE
      WHEN now_is IS NULL THEN 'missing'
      WHEN now_is IN ('queued', 'running', 'waiting') THEN 'fenced'
      ELSE 'already' END);
  END IF;
  IF jsonb_array_length(coalesce(nullif(p -> 'events', 'null'), '[]')) > 0 THEN
    INSERT INTO public.run_log_segments (org_id, execution_id, first_seq, last_seq, events)
    VALUES (org, run, (p ->> 'first_seq')::bigint, (p ->> 'last_seq')::bigint, p -> 'events');
  END IF;
  IF jsonb_array_length(coalesce(nullif(p -> 'usage', 'null'), '[]')) > 0 THEN
    PERFORM nodeai.store_usage(org, p -> 'usage');
  END IF;
  IF trace IS NOT NULL OR jsonb_array_length(coalesce(nullif(p -> 'spans', 'null'), '[]')) > 0 THEN
    PERFORM nodeai.store_spans(org, CASE WHEN trace IS NULL THEN '[]' ELSE jsonb_build_array(trace) END, p -> 'spans');
  END IF;
  RETURN '{"outcome":"committed"}';
END
$$;
SELECT nodeai.expose('public.run_commit(jsonb)', '{authenticated,service_role}');

-- Takes back an execution that could not start, with its idempotency claim: {"id","org_id"}.
CREATE FUNCTION public.run_abandon(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  DELETE FROM public.execution_queue q
    WHERE q.id = (p ->> 'id')::uuid
      AND q.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
      AND q.status IN ('queued', 'running')
      AND NOT EXISTS (SELECT FROM public.run_log_segments s WHERE s.org_id = q.org_id AND s.execution_id = q.id);
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'done' ELSE 'missing' END);
END
$$;
SELECT nodeai.expose('public.run_abandon(jsonb)', '{authenticated,service_role}');

-- Cancels: at once what waits, by request what runs (its runner sees `cancel_requested` at the next heartbeat).
-- {"id","org_id"} → {"outcome":"cancelled|requested|already|missing|forbidden","execution"}.
CREATE FUNCTION public.run_cancel(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  run uuid := (p ->> 'id')::uuid;
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  q public.execution_queue;
BEGIN
  UPDATE public.execution_queue x SET
    cancel_requested_at = coalesce(x.cancel_requested_at, clock_timestamp()),
    status = CASE WHEN x.status = 'running' THEN 'running' ELSE 'cancelled' END,
    finished_at = CASE WHEN x.status = 'running' THEN NULL ELSE clock_timestamp() END
  WHERE x.id = run AND x.org_id = org AND x.status IN ('queued', 'waiting', 'running')
  RETURNING * INTO q;
  IF FOUND THEN
    RETURN jsonb_build_object('execution', nodeai.execution_json(q),
      'outcome', CASE WHEN q.status = 'running' THEN 'requested' ELSE 'cancelled' END);
  END IF;
  SELECT * INTO q FROM public.execution_queue x WHERE x.id = run AND x.org_id = org;
  IF q.id IS NULL THEN
    RETURN '{"outcome":"missing"}';
  END IF;
  RETURN jsonb_build_object('execution', nodeai.execution_json(q),
    'outcome', CASE WHEN q.finished_at IS NULL THEN 'forbidden' ELSE 'already' END);
END
$$;
SELECT nodeai.expose('public.run_cancel(jsonb)', '{authenticated,service_role}');

-- A runner's sign of life; extends its lease. {"id","org_id","lease_token"?,"lease_us"?} →
-- {"outcome":"ok|lost","cancel_requested"}.
CREATE FUNCTION public.run_heartbeat(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  cancel boolean;
BEGIN
  UPDATE public.execution_queue q SET
    heartbeat_at = clock_timestamp(),
    lease_until = clock_timestamp() + coalesce((p ->> 'lease_us')::bigint, 60000000) * interval '1 microsecond'
  WHERE q.id = (p ->> 'id')::uuid
    AND q.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
    AND q.status = 'running'
    AND (p ->> 'lease_token' IS NULL OR q.lease_token = (p ->> 'lease_token')::bigint)
  RETURNING q.cancel_requested_at IS NOT NULL INTO cancel;
  RETURN jsonb_build_object('outcome', CASE WHEN cancel IS NULL THEN 'lost' ELSE 'ok' END,
    'cancel_requested', coalesce(cancel, false));
END
$$;
SELECT nodeai.expose('public.run_heartbeat(jsonb)', '{authenticated,service_role}');

-- One execution, with its run log when asked: {"id","org_id","events":bool?} → {"execution","events"?} or null.
CREATE FUNCTION public.run_get(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
  answer jsonb;
BEGIN
  SELECT * INTO q FROM public.execution_queue x
    WHERE x.id = (p ->> 'id')::uuid
      AND x.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  IF q.id IS NULL THEN
    RETURN NULL;
  END IF;
  answer := jsonb_build_object('execution', nodeai.execution_json(q));
  IF coalesce((p ->> 'events')::boolean, false) THEN
    answer := answer || jsonb_build_object('events', (
      SELECT coalesce(jsonb_agg(event ORDER BY s.first_seq, place), '[]')
      FROM public.run_log_segments s CROSS JOIN LATERAL jsonb_array_elements(s.events) WITH ORDINALITY AS x(event, place)
      WHERE s.org_id = q.org_id AND s.execution_id = q.id));
  END IF;
  RETURN answer;
END
$$;
SELECT nodeai.expose('public.run_get(jsonb)', '{authenticated,service_role}');
