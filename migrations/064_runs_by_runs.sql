-- Workflows as tools of workflows: a run may begin what is deployed, down to a depth. The queue is shared fairly between
-- organisations.

-- As before, and what is deployed may be run: that is how a workflow is a tool of another.
CREATE OR REPLACE FUNCTION nodeai.scopes_of_run(q public.execution_queue, member_role text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT coalesce(array_agg(s.scope ORDER BY s.scope), '{}')
  FROM unnest(ARRAY['deployments:run', 'files:read', 'files:write', 'knowledge:read', 'knowledge:run', 'knowledge:write',
    'tools:read', 'tools:run', 'webhooks:run']) s (scope)
  WHERE nodeai.scope_covers(nodeai.scopes_of(member_role), s.scope)
    AND (q.key_id IS NULL OR q.workflow_id IS NOT NULL OR EXISTS (
      SELECT FROM public.api_keys k WHERE k.id = q.key_id AND nodeai.scope_covers(k.scopes, s.scope)))
$$;

-- How many runs stand above a run, each begun by the one before.
ALTER TABLE public.execution_queue
  ADD COLUMN depth smallint NOT NULL DEFAULT 0 CONSTRAINT execution_queue_depth CHECK (depth BETWEEN 0 AND 5);

-- The depth of what the caller begins: 0 unless the caller is a run. The row is its own organisation's.
CREATE FUNCTION nodeai.depth_of_call() RETURNS integer
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce((SELECT x.depth + 1 FROM public.execution_queue x
    WHERE x.id = nullif(nodeai.claims() ->> 'execution_id', '')::uuid), 0)
$$;
SELECT nodeai.expose('nodeai.depth_of_call()', '{authenticated,service_role}');

-- As before; a run that a run begins knows its depth, and none is begun more than five deep ("too_deep").
CREATE OR REPLACE FUNCTION public.deployment_start(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e jsonb := p -> 'execution';
  org uuid := coalesce(nullif(e ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  claim jsonb := nullif(p -> 'idempotency', 'null');
  earlier jsonb := CASE WHEN claim IS NOT NULL THEN nodeai.claimed_run(org, claim) END;
  who text := coalesce(nullif(e ->> 'sticky_key', ''), nodeai.principal_id()::text);
  named text := e ->> 'deployment';
  deep integer := nodeai.depth_of_call();
  d public.deployments;
  workflow jsonb;
  begun jsonb;
BEGIN
  IF earlier IS NOT NULL THEN
    RETURN earlier;
  ELSIF deep > 5 THEN
    RETURN '{"outcome":"too_deep"}';
  END IF;
  IF named ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    SELECT * INTO d FROM public.deployments x WHERE x.id = named::uuid AND x.org_id = org
      AND x.environment = coalesce(e ->> 'environment', x.environment);
  ELSE
    SELECT * INTO d FROM public.deployments x
      WHERE x.org_id = org AND x.slug = named AND x.environment = coalesce(e ->> 'environment', 'prod');
  END IF;
  workflow := nodeai.runnable(d.workflow_id, CASE
    WHEN nodeai.canary_bucket(d.id, who) < d.canary_percent THEN d.canary_version ELSE d.workflow_version END);
  IF d.id IS NULL OR workflow IS NULL THEN
    RETURN '{"outcome":"missing"}';
  ELSIF d.status = 'paused' THEN
    RETURN '{"outcome":"paused"}';
  END IF;
  workflow := jsonb_set(workflow, '{definition,vars}',
    coalesce(workflow #> '{definition,vars}', '{}') || d.variables);
  begun := nodeai.begin_run(org, e, claim, workflow, to_jsonb(d));
  IF deep > 0 AND begun ->> 'outcome' = 'started' THEN
    UPDATE public.execution_queue x SET depth = deep WHERE x.id = (begun #>> '{execution,id}')::uuid AND x.org_id = org;
  END IF;
  RETURN begun || jsonb_build_object('environment', d.environment);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN '{"outcome":"forbidden"}';
END
$$;

-- Fairness between organisations -------------------------------------------------------------------------------------

-- The organisations with runs that are due, and since when; and of one of them what goes on, what is new.
CREATE INDEX execution_queue_org_due_idx ON public.execution_queue (org_id, status, run_after, id)
  WHERE status IN ('queued', 'waiting') AND run_after IS NOT NULL;
CREATE INDEX execution_queue_org_next_idx ON public.execution_queue (org_id, priority DESC, run_after, id)
  WHERE status = 'queued';
DROP INDEX public.execution_queue_due_idx;

-- Whose turn it is: of the organisations with runs that are due, those of which the fewest are at work, then those that
-- have waited longest. It looks at the first 200 that have left something to the queue and at whose run is due longest:
-- each costs a look into an index, however many runs it has.
CREATE FUNCTION nodeai.queue_turns(org uuid) RETURNS uuid[]
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
BEGIN
  RETURN (WITH RECURSIVE listed (org_id, place) AS (
    (SELECT x.org_id, 1 FROM public.execution_queue x
      WHERE org IS NULL AND x.status IN ('queued', 'waiting') AND x.run_after IS NOT NULL
      ORDER BY x.org_id, x.status, x.run_after, x.id LIMIT 1)
    UNION ALL
    SELECT (SELECT x.org_id FROM public.execution_queue x
        WHERE x.status IN ('queued', 'waiting') AND x.run_after IS NOT NULL AND x.org_id > l.org_id
        ORDER BY x.org_id, x.status, x.run_after, x.id LIMIT 1), l.place + 1
      FROM listed l WHERE l.org_id IS NOT NULL AND l.place < 200
  ), known AS (
    SELECT l.org_id FROM listed l WHERE l.org_id IS NOT NULL
    UNION SELECT org WHERE org IS NOT NULL
    UNION (SELECT x.org_id FROM public.execution_queue x
      WHERE org IS NULL AND x.status = 'queued' AND x.run_after <= clock_timestamp() ORDER BY x.run_after LIMIT 1)
    UNION (SELECT x.org_id FROM public.execution_queue x
      WHERE org IS NULL AND x.status = 'waiting' AND x.run_after <= clock_timestamp() ORDER BY x.run_after, x.id LIMIT 1)
  ), due AS (
    SELECT k.org_id, least(
      (SELECT x.run_after FROM public.execution_queue x WHERE x.org_id = k.org_id AND x.status = 'queued'
        AND x.run_after IS NOT NULL ORDER BY x.run_after, x.id LIMIT 1),
      (SELECT x.run_after FROM public.execution_queue x WHERE x.org_id = k.org_id AND x.status = 'waiting'
        AND x.run_after IS NOT NULL ORDER BY x.run_after, x.id LIMIT 1)) AS since
    FROM known k
  )
  SELECT array_agg(d.org_id ORDER BY d.busy, d.since, d.org_id) FROM (
    SELECT d.org_id, d.since, (SELECT count(*) FROM public.execution_queue x
      WHERE x.org_id = d.org_id AND x.status = 'running' AND x.mode = 'queued') AS busy
    FROM due d WHERE d.since <= clock_timestamp()) d);
END
$$;
SELECT nodeai.expose('nodeai.queue_turns(uuid)', '{}');

-- The next run that is due, its row locked: first what a host left behind; then of the organisation whose turn it is what
-- goes on, then what is new by priority, which counts within an organisation alone. `busy` are the organisations'
-- concurrency keys that have no place left, as `org/key`.
CREATE OR REPLACE FUNCTION nodeai.queue_next(org uuid, run uuid, busy text[]) RETURNS public.execution_queue
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
  turn uuid;
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
    WHERE x.status = 'running' AND x.mode = 'queued' AND x.lease_until < clock_timestamp()
      AND (org IS NULL OR x.org_id = org)
    ORDER BY x.lease_until LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF q.id IS NOT NULL THEN
    RETURN q;
  END IF;
  FOREACH turn IN ARRAY coalesce(nodeai.queue_turns(org), '{}') LOOP
    SELECT * INTO q FROM public.execution_queue x
      WHERE x.org_id = turn AND x.status = 'waiting' AND x.run_after <= clock_timestamp()
        AND (x.concurrency_key IS NULL OR x.org_id::text || '/' || x.concurrency_key <> ALL (busy))
      ORDER BY x.run_after, x.id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF q.id IS NULL THEN
      SELECT * INTO q FROM public.execution_queue x
        WHERE x.org_id = turn AND x.status = 'queued' AND x.run_after <= clock_timestamp()
          AND (x.concurrency_key IS NULL OR x.org_id::text || '/' || x.concurrency_key <> ALL (busy))
        ORDER BY x.priority DESC, x.run_after, x.id LIMIT 1 FOR UPDATE SKIP LOCKED;
    END IF;
    EXIT WHEN q.id IS NOT NULL;
  END LOOP;
  RETURN q;
END
$$;

-- Forks --------------------------------------------------------------------------------------------------------------

-- As before; a fork that is asked for without a "budget" has that of the run it comes from, and is told it.
CREATE OR REPLACE FUNCTION public.fork_start(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e jsonb := p -> 'execution';
  org uuid := coalesce(nullif(e ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  origin public.execution_queue;
  made public.execution_queue;
  answer jsonb;
  deployed boolean;
BEGIN
  SELECT * INTO origin FROM public.execution_queue x WHERE x.id = (e ->> 'forked_from')::uuid AND x.org_id = org;
  IF origin.id IS NULL THEN
    RETURN '{"outcome":"missing"}';
  END IF;
  deployed := origin.deployment_id IS NOT NULL AND e ->> 'workflow_id' IS NOT NULL;
  IF deployed AND NOT nodeai.caller_may(org, 'deployments:run') THEN
    RETURN '{"outcome":"forbidden"}';
  END IF;
  IF nullif(e -> 'budget', 'null') IS NULL AND origin.budget IS NOT NULL THEN
    p := jsonb_set(p, '{execution,budget}', origin.budget);
  END IF;
  answer := public.run_start(p);
  IF answer ->> 'outcome' <> 'started' THEN
    RETURN answer;
  END IF;
  UPDATE public.execution_queue q SET
    forked_from = origin.id, forked_node = e ->> 'forked_node',
    deployment_id = CASE WHEN deployed THEN origin.deployment_id END,
    deployment_version = CASE WHEN deployed THEN origin.deployment_version END,
    environment = CASE WHEN deployed THEN origin.environment END,
    variables = CASE WHEN deployed THEN origin.variables END
  WHERE q.id = (e ->> 'id')::uuid AND q.org_id = org RETURNING * INTO made;
  RETURN answer || jsonb_build_object('execution', nodeai.execution_view(made), 'environment', made.environment,
    'budget', made.budget);
END
$$;
