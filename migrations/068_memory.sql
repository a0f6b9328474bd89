-- Memory of conversations, and waits that are answered by an address of their own.

-- Conversations ------------------------------------------------------------------------------------------------------

-- One conversation of a memory. `workflow_id` null: of all workflows of the organisation. A workflow that others share may run here,
-- so it need not be the organisation's own; what goes with a workflow is removed by a trigger, since a run may outlast it.
CREATE TABLE public.memory_sessions (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT memory_sessions_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  workflow_id uuid,
  name text NOT NULL CONSTRAINT memory_sessions_name_length CHECK (char_length(name) <= 128),
  session text NOT NULL CONSTRAINT memory_sessions_session_length CHECK (char_length(session) BETWEEN 1 AND 256),
  turns integer NOT NULL DEFAULT 1 CONSTRAINT memory_sessions_turns CHECK (turns BETWEEN 0 AND 100),
  last_position bigint NOT NULL DEFAULT 1,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX memory_sessions_key_unique ON public.memory_sessions
  (org_id, coalesce(workflow_id, '00000000-0000-0000-0000-000000000000'), name, session);
CREATE INDEX memory_sessions_org_idx ON public.memory_sessions (org_id, id DESC);
CREATE INDEX memory_sessions_workflow_idx ON public.memory_sessions (workflow_id) WHERE workflow_id IS NOT NULL;
CREATE INDEX memory_sessions_expires_idx ON public.memory_sessions (expires_at);
SELECT nodeai.tenant_table('public.memory_sessions', 'viewer', 'editor', 'SELECT, INSERT, DELETE');
GRANT UPDATE (turns, last_position, expires_at, updated_at) ON public.memory_sessions TO authenticated;

-- What was said and answered in it. `step` is the run and the node's way: a turn is kept once, however often its run is taken up.
CREATE TABLE public.memory_turns (
  org_id uuid NOT NULL CONSTRAINT memory_turns_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  session_id uuid NOT NULL CONSTRAINT memory_turns_session REFERENCES public.memory_sessions (id) ON DELETE CASCADE,
  position bigint NOT NULL,
  step text NOT NULL CONSTRAINT memory_turns_step CHECK (step ~ '^[0-9a-f]{64}$'),
  execution_id uuid NOT NULL,
  node text NOT NULL CONSTRAINT memory_turns_node_length CHECK (char_length(node) BETWEEN 1 AND 1000),
  asked text NOT NULL CONSTRAINT memory_turns_asked_length CHECK (octet_length(asked) <= 40000),
  answered text NOT NULL CONSTRAINT memory_turns_answered_length CHECK (octet_length(answered) <= 40000),
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (session_id, position),
  CONSTRAINT memory_turns_step_unique UNIQUE (org_id, step)
);
SELECT nodeai.tenant_table('public.memory_turns', 'viewer', 'editor', 'SELECT, INSERT, DELETE');
SELECT nodeai.belongs_to('public.memory_turns', 'memory_sessions', 'session_id');

CREATE FUNCTION nodeai.forget_workflow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  DELETE FROM public.memory_sessions m WHERE m.workflow_id = OLD.id;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.forget_workflow()', '{}');
CREATE TRIGGER forget_workflow AFTER DELETE ON public.workflows FOR EACH ROW EXECUTE FUNCTION nodeai.forget_workflow();

-- The last turns of a conversation, oldest first, without those of a run that has them in its log:
-- {"org_id","workflow_id"?,"name","session","execution_id","most"} → [{"user","assistant"}].
CREATE FUNCTION public.memory_recall(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object('user', x.asked, 'assistant', x.answered) ORDER BY x.position), '[]')
  FROM (
    SELECT t.position, t.asked, t.answered
    FROM public.memory_sessions m JOIN public.memory_turns t ON t.session_id = m.id AND t.org_id = m.org_id
    WHERE m.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
      AND coalesce(m.workflow_id, '00000000-0000-0000-0000-000000000000')
        = coalesce(nullif(p ->> 'workflow_id', ''), '00000000-0000-0000-0000-000000000000')::uuid
      AND m.name = p ->> 'name' AND m.session = p ->> 'session' AND m.expires_at > clock_timestamp()
      AND t.execution_id <> (p ->> 'execution_id')::uuid
    ORDER BY t.position DESC LIMIT least(greatest((p ->> 'most')::integer, 0), 100)
  ) x
$$;
SELECT nodeai.expose('public.memory_recall(jsonb)', '{authenticated,service_role}');

-- Keeps the turns of a run, each once: [{"node","scope","name","session","user","assistant","ttl_ms"}]. A conversation keeps its last
-- hundred. Two runs of one conversation at once both append: one waits for the other's transaction.
CREATE FUNCTION nodeai.memory_append(org uuid, run uuid, workflow uuid, turns jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  given record;
  at timestamptz := clock_timestamp();
  this_step text;
  s public.memory_sessions;
BEGIN
  FOR given IN
    SELECT CASE WHEN e ->> 'scope' = 'organisation' THEN NULL ELSE memory_append.workflow END AS home, e ->> 'name' AS name,
      e ->> 'session' AS session, e ->> 'node' AS node, e ->> 'user' AS asked, e ->> 'assistant' AS answered,
      at + (e ->> 'ttl_ms')::bigint * interval '1 millisecond' AS until
    FROM jsonb_array_elements(memory_append.turns) WITH ORDINALITY AS x (e, place)
    -- In one order, so that no two runs wait for each other.
    ORDER BY 1 NULLS FIRST, 2, 3, x.place
  LOOP
    this_step := encode(sha256(convert_to(run::text || '/' || given.node, 'UTF8')), 'hex');
    CONTINUE WHEN EXISTS (SELECT FROM public.memory_turns t WHERE t.org_id = org AND t.step = this_step);
    -- What is over is another conversation.
    DELETE FROM public.memory_sessions m WHERE m.org_id = org AND m.name = given.name AND m.session = given.session
      AND coalesce(m.workflow_id, '00000000-0000-0000-0000-000000000000')
        = coalesce(given.home, '00000000-0000-0000-0000-000000000000') AND m.expires_at <= at;
    INSERT INTO public.memory_sessions AS m (id, org_id, workflow_id, name, session, expires_at)
      VALUES (nodeai.uuid_v7(), org, given.home, given.name, given.session, given.until)
    ON CONFLICT (org_id, coalesce(workflow_id, '00000000-0000-0000-0000-000000000000'), name, session) DO UPDATE SET
      turns = least(m.turns + 1, 100), last_position = m.last_position + 1, expires_at = excluded.expires_at, updated_at = at
    RETURNING * INTO s;
    INSERT INTO public.memory_turns (org_id, session_id, position, step, execution_id, node, asked, answered)
      VALUES (org, s.id, s.last_position, this_step, run, left(given.node, 1000), given.asked, given.answered);
    DELETE FROM public.memory_turns t WHERE t.session_id = s.id AND t.org_id = org AND t.position <= s.last_position - 100;
  END LOOP;
END
$$;
SELECT nodeai.expose('nodeai.memory_append(uuid, uuid, uuid, jsonb)', '{authenticated,service_role}');

-- As before, and "memory": the turns of conversations that it keeps.
CREATE OR REPLACE FUNCTION public.run_commit(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e jsonb := p -> 'execution';
  run uuid := (e ->> 'id')::uuid;
  org uuid := coalesce(nullif(e ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  state text := e ->> 'status';
  ended boolean := state IN ('succeeded', 'failed', 'cancelled');
  trace jsonb := nullif(p -> 'trace', 'null');
  memory jsonb := nullif(p -> 'memory', 'null');
  workflow uuid;
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
    AND (e ->> 'lease_token' IS NULL OR q.lease_token = (e ->> 'lease_token')::bigint)
  RETURNING q.workflow_id INTO workflow;
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
  IF memory IS NOT NULL THEN
    PERFORM nodeai.memory_append(org, run, workflow, memory);
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

-- As before, and "memory": the turns of conversations that the events keep.
CREATE OR REPLACE FUNCTION public.run_append(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  run uuid := (p ->> 'id')::uuid;
  park jsonb := nullif(p -> 'park', 'null');
  memory jsonb := nullif(p -> 'memory', 'null');
  workflow uuid;
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
  WHERE q.id = run AND q.org_id = org AND q.status = 'running' AND q.lease_token = (p ->> 'lease_token')::bigint
  RETURNING q.workflow_id INTO workflow;
  IF NOT FOUND THEN
    RETURN '{"outcome":"lost"}';
  END IF;
  IF jsonb_array_length(coalesce(nullif(p -> 'events', 'null'), '[]')) > 0 THEN
    INSERT INTO public.run_log_segments (org_id, execution_id, first_seq, last_seq, events)
    VALUES (org, run, (p ->> 'first_seq')::bigint, (p ->> 'last_seq')::bigint, p -> 'events');
  END IF;
  IF memory IS NOT NULL THEN
    PERFORM nodeai.memory_append(org, run, workflow, memory);
  END IF;
  RETURN '{"outcome":"ok"}';
END
$$;

-- A conversation as it is shown: {"id","org_id"} → {"session","turns"} or null. What is over is not there any more.
CREATE FUNCTION public.memory_session(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('session', to_jsonb(m), 'turns', (
    SELECT coalesce(jsonb_agg(jsonb_build_object('position', t.position, 'asked', t.asked, 'answered', t.answered,
      'execution_id', t.execution_id, 'node', t.node, 'at_us', nodeai.to_us(t.at)) ORDER BY t.position), '[]')
    FROM public.memory_turns t WHERE t.session_id = m.id AND t.org_id = m.org_id))
  FROM public.memory_sessions m
  WHERE m.id = (p ->> 'id')::uuid AND m.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
    AND m.expires_at > clock_timestamp()
$$;
SELECT nodeai.expose('public.memory_session(jsonb)', '{authenticated,service_role}');

-- Forgets a conversation: {"id"}. The audit log has its id alone: its name may be somebody's.
CREATE FUNCTION nodeai.do_memory_forget(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  turns integer;
BEGIN
  DELETE FROM public.memory_sessions m WHERE m.id = (p #>> '{args,id}')::uuid AND m.org_id = org RETURNING m.turns INTO turns;
  IF turns IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN jsonb_build_object('changes', jsonb_build_object('before', jsonb_build_object('turns', turns)));
END
$$;
SELECT nodeai.expose('nodeai.do_memory_forget(uuid, jsonb)', '{authenticated,service_role}');

-- Forgets what is over.
CREATE FUNCTION nodeai.expire_memory() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  n bigint;
BEGIN
  DELETE FROM public.memory_sessions m WHERE m.expires_at < clock_timestamp();
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN jsonb_build_object('memory_sessions', n);
END
$$;
SELECT nodeai.expose('nodeai.expire_memory()', '{}');
ALTER FUNCTION nodeai.housekeeping(jsonb) RENAME TO keep_house_but_memory;
SELECT nodeai.expose('nodeai.keep_house_but_memory(jsonb)', '{}');
CREATE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  RETURN nodeai.keep_house_but_memory(p) || nodeai.expire_memory();
END
$$;
SELECT nodeai.expose('nodeai.housekeeping(jsonb)', '{service_role}');

-- Waits by their own address ------------------------------------------------------------------------------------------

-- Takes from the bucket of a run's addresses.
CREATE FUNCTION nodeai.wait_take(run uuid) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  SELECT nodeai.bucket_take(md5('wait ' || run)::uuid, 'webhook', 120, 20, nodeai.to_us(clock_timestamp()), 1, true)
$$;
SELECT nodeai.expose('nodeai.wait_take(uuid)', '{service_role}');

-- Whether a node of a run will not wait any more, as far as its log says: it ended some way or other, or its turn never comes.
CREATE FUNCTION nodeai.node_is_over(org uuid, run uuid, node text) RETURNS boolean
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT EXISTS (
    SELECT FROM public.run_log_segments s
    CROSS JOIN LATERAL jsonb_array_elements(s.events) AS x (piece)
    CROSS JOIN unnest(ARRAY['node_finished', 'node_failed', 'node_cancelled', 'node_skipped']) AS e (event)
    WHERE s.org_id = node_is_over.org AND s.execution_id = node_is_over.run AND jsonb_typeof(x.piece) = 'string'
      AND strpos(x.piece #>> '{}', format('"event":"%s","node":%s', e.event, to_json(node_is_over.node)))  > 0)
$$;
SELECT nodeai.expose('nodeai.node_is_over(uuid, uuid, text)', '{service_role}');

-- What is known of a wait by whoever has its address: {"id","node"} → {"outcome":"waiting|early|already|over","org_id","status",
-- "wait"?,"rate"}; null when the run is gone.
CREATE FUNCTION public.hook_wait(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
  which jsonb := jsonb_build_array(jsonb_build_object('node', p ->> 'node'));
  wait jsonb;
  outcome text;
BEGIN
  SELECT * INTO q FROM public.execution_queue x WHERE x.id = (p ->> 'id')::uuid;
  IF q.id IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT w INTO wait FROM jsonb_array_elements(q.waits) w WHERE w ->> 'node' = p ->> 'node';
  outcome := CASE
    WHEN q.answers @> which THEN 'already'
    WHEN q.status NOT IN ('queued', 'running', 'waiting') THEN 'over'
    WHEN (wait ->> 'until_us')::bigint <= nodeai.to_us(clock_timestamp()) THEN 'over'
    WHEN wait IS NOT NULL AND q.status <> 'queued' THEN 'waiting'
    WHEN nodeai.node_is_over(q.org_id, q.id, p ->> 'node') THEN 'over'
    ELSE 'early' END;
  RETURN jsonb_build_object('outcome', outcome, 'org_id', q.org_id, 'status', q.status, 'wait', wait,
    'rate', nodeai.wait_take(q.id));
END
$$;
SELECT nodeai.expose('public.hook_wait(jsonb)', '{service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['memory_recall', 'memory_session', 'hook_wait']) fn;
