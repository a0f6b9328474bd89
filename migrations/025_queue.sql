-- The durable queue: runs that outlive their request. Whoever drains takes one up by a lease, acts with the claims of
-- whoever asked for it, and appends to its log as it goes; a lease that ran out is taken up by somebody else.

ALTER TABLE public.execution_queue
  ADD COLUMN span_id text CONSTRAINT execution_queue_span_id CHECK (span_id ~ '^[0-9a-f]{16}$'),
  ADD COLUMN parent_span_id text CONSTRAINT execution_queue_parent_span_id CHECK (parent_span_id ~ '^[0-9a-f]{16}$'),
  ADD COLUMN concurrency_limit integer NOT NULL DEFAULT 1
    CONSTRAINT execution_queue_concurrency_limit CHECK (concurrency_limit BETWEEN 1 AND 1000),
  -- Leases that ran out since the run last got anywhere, and how many may.
  ADD COLUMN losses integer NOT NULL DEFAULT 0,
  ADD COLUMN max_losses integer NOT NULL DEFAULT 5
    CONSTRAINT execution_queue_max_losses CHECK (max_losses BETWEEN 1 AND 100),
  ADD COLUMN dead_at timestamptz,
  -- What whoever asked for it lets it cost.
  ADD COLUMN budget jsonb,
  ADD CONSTRAINT execution_queue_priority CHECK (priority BETWEEN -100 AND 100),
  ADD CONSTRAINT execution_queue_concurrency_key_length CHECK (char_length(concurrency_key) BETWEEN 1 AND 255);

CREATE INDEX execution_queue_wake_idx ON public.execution_queue (run_after, id)
  WHERE status = 'waiting' AND run_after IS NOT NULL;
CREATE INDEX execution_queue_next_idx ON public.execution_queue (run_after) WHERE status = 'queued';
CREATE INDEX execution_queue_busy_idx ON public.execution_queue (org_id, concurrency_key)
  WHERE status = 'running' AND mode = 'queued';
CREATE INDEX execution_queue_dead_idx ON public.execution_queue (org_id, id DESC) WHERE dead_at IS NOT NULL;

CREATE OR REPLACE FUNCTION nodeai.execution_json(e public.execution_queue) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object(
    'id', e.id, 'org_id', e.org_id, 'workflow_id', e.workflow_id, 'workflow_version', e.workflow_version,
    'deployment_id', e.deployment_id, 'deployment_version', e.deployment_version, 'environment', e.environment,
    'variables', e.variables,
    'trace_id', e.trace_id, 'span_id', e.span_id, 'parent_span_id', e.parent_span_id,
    'user_id', e.user_id, 'key_id', e.key_id, 'status', e.status, 'mode', e.mode,
    'inputs', e.inputs, 'outputs', e.outputs, 'error', e.error, 'prompt_tokens', e.prompt_tokens,
    'completion_tokens', e.completion_tokens, 'cost_pusd', e.cost_pusd, 'attempts', e.attempts,
    'lease_token', e.lease_token, 'cancel_requested', e.cancel_requested_at IS NOT NULL,
    'waits', CASE WHEN e.status IN ('running', 'waiting') THEN e.waits ELSE '[]' END)
  || jsonb_build_object(
    'priority', e.priority, 'concurrency_key', e.concurrency_key, 'run_after_us', nodeai.to_us(e.run_after),
    'dead_us', nodeai.to_us(e.dead_at),
    'created_us', nodeai.to_us(e.created_at), 'started_us', nodeai.to_us(e.started_at),
    'finished_us', nodeai.to_us(e.finished_at), 'heartbeat_us', nodeai.to_us(e.heartbeat_at));

-- As before, with what the queue goes by: "priority", "concurrency_key", "concurrency_limit", "run_after_us",
-- "max_losses", "span_id", "parent_span_id".
CREATE OR REPLACE FUNCTION nodeai.begin_run(org uuid, e jsonb, claim jsonb, workflow jsonb, deployment jsonb)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  started timestamptz := coalesce(nodeai.from_us((e ->> 'started_us')::bigint), clock_timestamp());
  queued boolean := coalesce(e ->> 'status', e ->> 'mode') = 'queued';
  made public.execution_queue;
BEGIN
  INSERT INTO public.execution_queue (
    id, org_id, workflow_id, workflow_version, deployment_id, deployment_version, environment, variables,
    trace_id, span_id, parent_span_id, user_id, key_id, status, mode, definition, inputs,
    budget, priority, concurrency_key, concurrency_limit, max_losses, run_after, attempts, lease_token, lease_until,
    heartbeat_at, started_at, idempotency_principal, idempotency_key, idempotency_hash)
  VALUES (
    (e ->> 'id')::uuid, org, (workflow ->> 'id')::uuid, (workflow ->> 'version')::integer,
    (deployment ->> 'id')::uuid, (deployment ->> 'version')::integer, deployment ->> 'environment',
    CASE WHEN deployment IS NOT NULL THEN workflow #> '{definition,vars}' END,
    e ->> 'trace_id', nullif(e ->> 'span_id', ''), nullif(e ->> 'parent_span_id', ''),
    auth.uid(), nullif(nodeai.claims() ->> 'key_id', '')::uuid,
    coalesce(e ->> 'status', CASE WHEN queued THEN 'queued' ELSE 'running' END), coalesce(e ->> 'mode', 'sync'),
    CASE WHEN workflow IS NULL THEN nullif(e -> 'definition', 'null') END, e -> 'inputs',
    nullif(e -> 'budget', 'null'), coalesce((e ->> 'priority')::integer, 0), nullif(e ->> 'concurrency_key', ''),
    coalesce((e ->> 'concurrency_limit')::integer, 1), coalesce((e ->> 'max_losses')::integer, 5),
    CASE WHEN queued THEN coalesce(nodeai.from_us((e ->> 'run_after_us')::bigint), clock_timestamp()) END,
    CASE WHEN queued THEN 0 ELSE 1 END, CASE WHEN queued THEN 0 ELSE 1 END,
    CASE WHEN NOT queued THEN clock_timestamp()
      + coalesce((e ->> 'lease_us')::bigint, 3600000000) * interval '1 microsecond' END,
    CASE WHEN NOT queued THEN clock_timestamp() END, CASE WHEN NOT queued THEN started END,
    CASE WHEN claim IS NOT NULL THEN nodeai.principal_id() END, claim ->> 'key', claim ->> 'request_hash')
  ON CONFLICT (org_id, idempotency_principal, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
  RETURNING * INTO made;
  IF made.id IS NULL THEN
    RETURN nodeai.claimed_run(org, claim); -- another request with this key was faster
  END IF;
  RETURN jsonb_build_object('outcome', 'started', 'execution', nodeai.execution_json(made), 'workflow', workflow);
END
$$;

-- Taking up ----------------------------------------------------------------------------------------------------------

-- The claims with which a queued run acts: those that its key or member would get now. Null when they would get none.
CREATE FUNCTION nodeai.claims_of_run(q public.execution_queue) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
DECLARE
  member_role text;
  held text[];
  limited_to uuid[];
BEGIN
  SELECT m.role INTO member_role FROM public.organization_members m
    JOIN public.profiles u ON u.id = m.user_id
    WHERE m.user_id = q.user_id AND m.org_id = q.org_id AND u.deleting_at IS NULL;
  held := nodeai.scopes_of(member_role);
  IF q.key_id IS NOT NULL THEN
    SELECT k.scopes, k.workflow_ids INTO held, limited_to FROM public.api_keys k
      WHERE k.id = q.key_id AND k.user_id = q.user_id AND k.org_id = q.org_id AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp());
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
  IF member_role IS NULL OR NOT nodeai.scope_covers(held, 'workflows:run')
     OR NOT nodeai.scope_covers(nodeai.scopes_of(member_role), 'workflows:run') THEN
    RETURN NULL;
  END IF;
  RETURN jsonb_build_object('sub', q.user_id, 'role', 'authenticated', 'org_id', q.org_id, 'member_role', member_role,
    'key_id', q.key_id, 'scopes', held, 'workflow_ids', limited_to);
END
$$;
SELECT nodeai.expose('nodeai.claims_of_run(public.execution_queue)', '{}');

-- Ends a run that nobody runs any more, and leaves its trace: one span, since its log stays as it is.
CREATE FUNCTION nodeai.end_unrun(run uuid, state text, why jsonb) RETURNS public.execution_queue
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
  span jsonb;
BEGIN
  UPDATE public.execution_queue x SET status = state, error = why, finished_at = clock_timestamp(), lease_until = NULL,
      lease_token = x.lease_token + 1, dead_at = CASE WHEN why ->> 'kind' = 'dead_letter' THEN clock_timestamp() END
    WHERE x.id = run RETURNING * INTO q;
  span := jsonb_build_object('trace_id', q.trace_id, 'span_id', coalesce(q.span_id, substr(q.trace_id, 1, 16)),
    'parent_span_id', q.parent_span_id, 'name', 'invoke_workflow', 'kind', 'internal', 'status', 'error',
    'status_message', why ->> 'message', 'start_us', nodeai.to_us(q.created_at),
    'duration_us', nodeai.to_us(q.finished_at) - nodeai.to_us(q.created_at),
    'execution_id', q.id, 'workflow_id', q.workflow_id, 'user_id', q.user_id, 'error', why,
    'attributes', jsonb_build_object('nodeai.execution_id', q.id, 'error.type', why ->> 'kind'));
  PERFORM nodeai.store_spans(q.org_id, jsonb_build_array(span || '{"kind":"run"}'), jsonb_build_array(span));
  RETURN q;
END
$$;
SELECT nodeai.expose('nodeai.end_unrun(uuid, text, jsonb)', '{}');

-- The next run that is due, its row locked: first what goes on, then what a host left behind, then what is new by
-- priority. `busy` are the organisations' concurrency keys that have no place left, as `org/key`.
CREATE FUNCTION nodeai.queue_next(org uuid, run uuid, busy text[]) RETURNS public.execution_queue
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
BEGIN
  IF run IS NOT NULL THEN
    SELECT * INTO q FROM public.execution_queue x
      WHERE x.id = run AND (org IS NULL OR x.org_id = org)
        AND (x.status IN ('queued', 'waiting') AND x.run_after <= clock_timestamp()
          OR x.status = 'running' AND x.mode = 'queued' AND x.lease_until < clock_timestamp())
        AND (x.concurrency_key IS NULL OR x.org_id::text || '/' || x.concurrency_key <> ALL (busy))
      FOR UPDATE SKIP LOCKED;
    RETURN q;
  END IF;
  SELECT * INTO q FROM public.execution_queue x
    WHERE x.status = 'waiting' AND x.run_after <= clock_timestamp() AND (org IS NULL OR x.org_id = org)
      AND (x.concurrency_key IS NULL OR x.org_id::text || '/' || x.concurrency_key <> ALL (busy))
    ORDER BY x.run_after, x.id LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF q.id IS NULL THEN
    SELECT * INTO q FROM public.execution_queue x
      WHERE x.status = 'running' AND x.mode = 'queued' AND x.lease_until < clock_timestamp()
        AND (org IS NULL OR x.org_id = org)
      ORDER BY x.lease_until LIMIT 1 FOR UPDATE SKIP LOCKED;
  END IF;
  IF q.id IS NULL THEN
    SELECT * INTO q FROM public.execution_queue x
      WHERE x.status = 'queued' AND x.run_after <= clock_timestamp() AND (org IS NULL OR x.org_id = org)
        AND (x.concurrency_key IS NULL OR x.org_id::text || '/' || x.concurrency_key <> ALL (busy))
      ORDER BY x.priority DESC, x.run_after, x.id LIMIT 1 FOR UPDATE SKIP LOCKED;
  END IF;
  RETURN q;
END
$$;
SELECT nodeai.expose('nodeai.queue_next(uuid, uuid, text[])', '{}');

-- Whether one more run of this key may run. Holds the key until the transaction ends: nobody else counts meanwhile.
CREATE FUNCTION nodeai.queue_place(q public.execution_queue) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
BEGIN
  IF q.concurrency_key IS NULL OR q.status = 'running' THEN
    RETURN true;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('queue ' || q.org_id::text || '/' || q.concurrency_key, 0));
  RETURN q.concurrency_limit > (SELECT count(*) FROM public.execution_queue x
    WHERE x.org_id = q.org_id AND x.concurrency_key = q.concurrency_key AND x.status = 'running' AND x.mode = 'queued');
END
$$;
SELECT nodeai.expose('nodeai.queue_place(public.execution_queue)', '{}');

-- Takes up one run. {"org_id"?, "execution_id"?, "lease_us", "workers"} → answer {"outcome":"claimed|empty|busy",
-- "principal", "execution", "due_us"?}, and the claims and role to act with. `workers`: how many may run at once.
CREATE FUNCTION nodeai.queue_claim(p jsonb) RETURNS TABLE (answer jsonb, claims text, role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  busy text[] := '{}';
  acting jsonb;
  q public.execution_queue;
BEGIN
  claims := '{"role":"anon"}';
  role := 'anon';
  IF (SELECT count(*) FROM public.execution_queue x WHERE x.status = 'running' AND x.mode = 'queued'
        AND x.lease_until >= clock_timestamp()) >= coalesce((p ->> 'workers')::integer, 16) THEN
    answer := '{"outcome":"busy"}';
    RETURN NEXT;
    RETURN;
  END IF;
  FOR attempt IN 1..50 LOOP
    q := nodeai.queue_next(org, nullif(p ->> 'execution_id', '')::uuid, busy);
    EXIT WHEN q.id IS NULL;
    IF NOT nodeai.queue_place(q) THEN
      busy := busy || (q.org_id::text || '/' || q.concurrency_key);
      CONTINUE;
    END IF;
    acting := nodeai.claims_of_run(q);
    IF acting IS NULL THEN
      PERFORM nodeai.end_unrun(q.id, 'failed', '{"kind":"owner_gone",
        "message":"the key or the member that asked for this run may not run it any more"}');
      CONTINUE;
    ELSIF q.status = 'running' AND q.losses + 1 >= q.max_losses THEN
      PERFORM nodeai.end_unrun(q.id, 'failed', jsonb_build_object('kind', 'dead_letter', 'message', format(
        'the run was given up: %s hosts in a row were lost with it before it got anywhere', q.losses + 1)));
      CONTINUE;
    END IF;
    UPDATE public.execution_queue x SET
      losses = x.losses + CASE WHEN x.status = 'running' THEN 1 ELSE 0 END,
      status = 'running', attempts = x.attempts + 1, lease_token = x.lease_token + 1,
      lease_until = clock_timestamp() + coalesce((p ->> 'lease_us')::bigint, 20000000) * interval '1 microsecond',
      heartbeat_at = clock_timestamp(), started_at = coalesce(x.started_at, clock_timestamp())
    WHERE x.id = q.id RETURNING * INTO q;
    answer := jsonb_build_object('outcome', 'claimed', 'execution', nodeai.execution_json(q), 'principal',
      jsonb_build_object('outcome', 'ok', 'user_id', q.user_id, 'org_id', q.org_id, 'key_id', q.key_id,
        'member_role', acting -> 'member_role', 'scopes', acting -> 'scopes', 'workflow_ids', acting -> 'workflow_ids'));
    claims := acting::text;
    role := 'authenticated';
    RETURN NEXT;
    RETURN;
  END LOOP;
  answer := jsonb_build_object('outcome', 'empty', 'due_us', nodeai.to_us(least(
    (SELECT min(x.run_after) FROM public.execution_queue x WHERE x.status = 'queued'),
    (SELECT min(x.run_after) FROM public.execution_queue x WHERE x.status = 'waiting'))));
  RETURN NEXT;
END
$$;
SELECT nodeai.expose('nodeai.queue_claim(jsonb)', '{nodeai_app,service_role}');

-- The same for backends that reach functions by REST.
CREATE FUNCTION public.queue_claim(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT to_jsonb(c) FROM nodeai.queue_claim(p) c $$;
SELECT nodeai.expose('public.queue_claim(jsonb)', '{service_role}');

-- What a run that was taken up needs, as its owner sees it: {"id","org_id","lease_token"} →
-- {"workflow": {"id","name","version","definition"}?, "definition"?, "budget"?, "pieces": of the log, "answers"} or null when the
-- lease is lost.
CREATE FUNCTION public.run_load(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
  workflow jsonb;
BEGIN
  SELECT * INTO q FROM public.execution_queue x
    WHERE x.id = (p ->> 'id')::uuid AND x.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
      AND x.status = 'running' AND x.lease_token = (p ->> 'lease_token')::bigint;
  IF q.id IS NULL THEN
    RETURN NULL;
  END IF;
  IF q.workflow_id IS NOT NULL THEN
    workflow := nodeai.runnable(q.workflow_id, q.workflow_version);
    IF q.variables IS NOT NULL THEN
      workflow := jsonb_set(workflow, '{definition,vars}', q.variables);
    END IF;
  END IF;
  RETURN jsonb_build_object('workflow', workflow, 'definition', q.definition, 'budget', q.budget, 'answers', q.answers, 'pieces', (
    SELECT coalesce(jsonb_agg(event ORDER BY s.first_seq, place), '[]')
    FROM public.run_log_segments s CROSS JOIN LATERAL jsonb_array_elements(s.events) WITH ORDINALITY AS x(event, place)
    WHERE s.org_id = q.org_id AND s.execution_id = q.id));
END
$$;
SELECT nodeai.expose('public.run_load(jsonb)', '{authenticated,service_role}');

-- Going on -----------------------------------------------------------------------------------------------------------

-- Appends to the log of a run that goes on, and extends its lease; or parks it until `run_after_us` (none: until
-- somebody answers). {"id","org_id","lease_token","first_seq","last_seq","events","lease_us","progress"?, "park":
-- {"run_after_us","waits","answers_seen"}?} → {"outcome":"ok|lost"}.
CREATE FUNCTION public.run_append(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  run uuid := (p ->> 'id')::uuid;
  park jsonb := nullif(p -> 'park', 'null');
BEGIN
  UPDATE public.execution_queue q SET
    heartbeat_at = clock_timestamp(),
    losses = CASE WHEN (p ->> 'progress')::boolean THEN 0 ELSE q.losses END,
    status = CASE WHEN park IS NULL THEN 'running' ELSE 'waiting' END,
    waits = coalesce(park -> 'waits', q.waits),
    -- What was said while it was being parked wakes it at once.
    run_after = CASE WHEN park IS NULL THEN q.run_after
      WHEN q.cancel_requested_at IS NOT NULL
        OR jsonb_array_length(q.answers) > coalesce((park ->> 'answers_seen')::integer, 0) THEN clock_timestamp()
      ELSE nodeai.from_us((park ->> 'run_after_us')::bigint) END,
    lease_until = CASE WHEN park IS NULL
      THEN clock_timestamp() + coalesce((p ->> 'lease_us')::bigint, 20000000) * interval '1 microsecond' END
  WHERE q.id = run AND q.org_id = org AND q.status = 'running' AND q.lease_token = (p ->> 'lease_token')::bigint;
  IF NOT FOUND THEN
    RETURN '{"outcome":"lost"}';
  END IF;
  IF jsonb_array_length(coalesce(nullif(p -> 'events', 'null'), '[]')) > 0 THEN
    INSERT INTO public.run_log_segments (org_id, execution_id, first_seq, last_seq, events)
    VALUES (org, run, (p ->> 'first_seq')::bigint, (p ->> 'last_seq')::bigint, p -> 'events');
  END IF;
  RETURN '{"outcome":"ok"}';
END
$$;
SELECT nodeai.expose('public.run_append(jsonb)', '{authenticated,service_role}');

-- As before; a run that was never taken up ends at once and leaves its trace, one that is parked is woken to end itself.
CREATE OR REPLACE FUNCTION public.run_cancel(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  run uuid := (p ->> 'id')::uuid;
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  q public.execution_queue;
BEGIN
  UPDATE public.execution_queue x SET
    cancel_requested_at = coalesce(x.cancel_requested_at, clock_timestamp()),
    run_after = CASE WHEN x.status = 'running' THEN x.run_after ELSE clock_timestamp() END
  WHERE x.id = run AND x.org_id = org AND x.status IN ('queued', 'waiting', 'running')
  RETURNING * INTO q;
  IF q.status = 'queued' THEN
    q := nodeai.cancel_unrun(run, org);
  END IF;
  IF q.id IS NOT NULL THEN
    RETURN jsonb_build_object('execution', nodeai.execution_json(q),
      'outcome', CASE WHEN q.finished_at IS NULL THEN 'requested' ELSE 'cancelled' END);
  END IF;
  SELECT * INTO q FROM public.execution_queue x WHERE x.id = run AND x.org_id = org;
  IF q.id IS NULL THEN
    RETURN '{"outcome":"missing"}';
  END IF;
  RETURN jsonb_build_object('execution', nodeai.execution_json(q),
    'outcome', CASE WHEN q.finished_at IS NULL THEN 'forbidden' ELSE 'already' END);
END
$$;

-- For `run_cancel`: ends what it has marked in the caller's own organisation.
CREATE FUNCTION nodeai.cancel_unrun(run uuid, org uuid) RETURNS public.execution_queue
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
BEGIN
  PERFORM nodeai.require_member(org);
  SELECT * INTO q FROM public.execution_queue x
    WHERE x.id = run AND x.org_id = org AND x.status = 'queued' AND x.cancel_requested_at IS NOT NULL FOR UPDATE;
  IF q.id IS NOT NULL THEN
    q := nodeai.end_unrun(run, 'cancelled', '{"kind":"cancelled","message":"cancelled before it began"}');
  END IF;
  RETURN q;
END
$$;
SELECT nodeai.expose('nodeai.cancel_unrun(uuid, uuid)', '{authenticated,service_role}');

-- Gives a dead letter back to the queue, where it goes on from its last finished step.
-- {"id","org_id"} → {"outcome":"requeued|not_dead|missing|forbidden","execution"}.
CREATE FUNCTION public.run_requeue(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  run uuid := (p ->> 'id')::uuid;
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  q public.execution_queue;
BEGIN
  UPDATE public.execution_queue x SET status = 'queued', error = NULL, finished_at = NULL, dead_at = NULL, losses = 0,
      run_after = clock_timestamp(), cancel_requested_at = NULL
    WHERE x.id = run AND x.org_id = org AND x.dead_at IS NOT NULL
    RETURNING * INTO q;
  IF FOUND THEN
    RETURN jsonb_build_object('outcome', 'requeued', 'execution', nodeai.execution_json(q));
  END IF;
  SELECT * INTO q FROM public.execution_queue x WHERE x.id = run AND x.org_id = org;
  RETURN jsonb_build_object('outcome', CASE WHEN q.id IS NULL THEN 'missing'
    WHEN q.dead_at IS NULL THEN 'not_dead' ELSE 'forbidden' END);
END
$$;
SELECT nodeai.expose('public.run_requeue(jsonb)', '{authenticated,service_role}');

-- What is new of a run: {"id","org_id","from_seq","limit"?,"document"?} → {"execution","pieces","more","definition"?} or
-- null. A segment goes out whole: there may be more events than `limit`, and some before `from_seq`.
CREATE FUNCTION public.run_events(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
  after bigint := coalesce((p ->> 'from_seq')::bigint, 0);
  most bigint := coalesce((p ->> 'limit')::bigint, 1000);
  found jsonb;
  upto bigint;
BEGIN
  SELECT * INTO q FROM public.execution_queue x
    WHERE x.id = (p ->> 'id')::uuid AND x.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  IF q.id IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT coalesce(jsonb_agg(x.piece ORDER BY s.first_seq, x.place), '[]'), max(s.last_seq) INTO found, upto
    FROM (SELECT y.*, sum(y.last_seq - y.first_seq + 1) OVER (ORDER BY y.first_seq)
            - (y.last_seq - y.first_seq + 1) AS before
          FROM public.run_log_segments y
          WHERE y.org_id = q.org_id AND y.execution_id = q.id AND y.last_seq >= after) s
    CROSS JOIN LATERAL jsonb_array_elements(s.events) WITH ORDINALITY AS x(piece, place)
    WHERE s.before < most;
  RETURN jsonb_build_object('execution', nodeai.execution_json(q), 'pieces', found, 'definition',
      CASE WHEN (p ->> 'document')::boolean THEN coalesce(q.definition,
        nodeai.runnable(q.workflow_id, q.workflow_version) -> 'definition') END, 'more', EXISTS (
    SELECT FROM public.run_log_segments y WHERE y.org_id = q.org_id AND y.execution_id = q.id
      AND y.first_seq > upto));
END
$$;
SELECT nodeai.expose('public.run_events(jsonb)', '{authenticated,service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['run_load', 'run_append', 'run_requeue', 'run_events']) fn;
