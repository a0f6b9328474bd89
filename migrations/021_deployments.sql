-- Deployments: a version behind a stable address, per environment; promote, roll back, canary, pause, statistics.

-- Which deployment a run came through. No foreign key: runs stay when it goes.
ALTER TABLE public.execution_queue ADD COLUMN deployment_id uuid;
CREATE INDEX execution_queue_deployment_idx ON public.execution_queue (org_id, deployment_id, created_at DESC)
  WHERE deployment_id IS NOT NULL;

-- `number` is the deployment's version that the change made: the order of changes, whatever the clocks say.
ALTER TABLE public.deployment_history ADD COLUMN number integer NOT NULL
  CONSTRAINT deployment_history_number CHECK (number > 0);
ALTER TABLE public.deployment_history ADD CONSTRAINT deployment_history_number_unique UNIQUE (deployment_id, number);
DROP INDEX public.deployment_history_deployment_idx; -- the constraint's index is the one that is read
UPDATE nodeai.writable_tables SET insertable = insertable || '{number}'::text[] WHERE table_name = 'deployment_history';
GRANT INSERT (number) ON public.deployment_history TO authenticated;

CREATE OR REPLACE FUNCTION nodeai.execution_json(e public.execution_queue) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object(
    'id', e.id, 'org_id', e.org_id, 'workflow_id', e.workflow_id, 'workflow_version', e.workflow_version,
    'deployment_id', e.deployment_id,
    'trace_id', e.trace_id, 'user_id', e.user_id, 'key_id', e.key_id, 'status', e.status, 'mode', e.mode,
    'inputs', e.inputs, 'outputs', e.outputs, 'error', e.error, 'prompt_tokens', e.prompt_tokens,
    'completion_tokens', e.completion_tokens, 'cost_pusd', e.cost_pusd, 'attempts', e.attempts,
    'lease_token', e.lease_token, 'cancel_requested', e.cancel_requested_at IS NOT NULL,
    'created_us', nodeai.to_us(e.created_at), 'started_us', nodeai.to_us(e.started_at),
    'finished_us', nodeai.to_us(e.finished_at), 'heartbeat_us', nodeai.to_us(e.heartbeat_at));

-- Starting a run ----------------------------------------------------------------------------------------------------

-- Makes the execution `e` of what nodeai.runnable found (null for a definition that is not stored), with the claim.
CREATE FUNCTION nodeai.begin_run(org uuid, e jsonb, claim jsonb, workflow jsonb, deployment uuid) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  started timestamptz := coalesce(nodeai.from_us((e ->> 'started_us')::bigint), clock_timestamp());
  state text := coalesce(e ->> 'status', CASE WHEN e ->> 'mode' = 'queued' THEN 'queued' ELSE 'running' END);
  made public.execution_queue;
BEGIN
  INSERT INTO public.execution_queue (
    id, org_id, workflow_id, workflow_version, deployment_id, trace_id, user_id, key_id, status, mode, definition, inputs,
    priority, run_after, attempts, lease_token, lease_until, heartbeat_at, started_at,
    idempotency_principal, idempotency_key, idempotency_hash)
  VALUES (
    (e ->> 'id')::uuid, org, (workflow ->> 'id')::uuid, (workflow ->> 'version')::integer, deployment, e ->> 'trace_id',
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
END
$$;
SELECT nodeai.expose('nodeai.begin_run(uuid, jsonb, jsonb, jsonb, uuid)', '{authenticated,service_role}');

-- As before. {"execution":{id, org_id, workflow_id?, version?, trace_id, mode, status?, inputs, definition?, started_us,
-- lease_us?}, "idempotency":{key, request_hash}?} → {"outcome":"started|replayed|key_reused|missing|forbidden",
-- "execution", "workflow"}.
CREATE OR REPLACE FUNCTION public.run_start(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e jsonb := p -> 'execution';
  org uuid := coalesce(nullif(e ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  claim jsonb := nullif(p -> 'idempotency', 'null');
  earlier jsonb := CASE WHEN claim IS NOT NULL THEN nodeai.claimed_run(org, claim) END;
  workflow jsonb;
BEGIN
  IF earlier IS NOT NULL THEN
    RETURN earlier;
  END IF;
  IF e ->> 'workflow_id' IS NOT NULL THEN
    workflow := nodeai.runnable((e ->> 'workflow_id')::uuid, (e ->> 'version')::integer);
    IF workflow IS NULL THEN
      RETURN '{"outcome":"missing"}';
    END IF;
  ELSIF nullif(nodeai.claims() -> 'workflow_ids', 'null') IS NOT NULL THEN
    RETURN '{"outcome":"forbidden"}'; -- a key for certain workflows runs nothing else
  END IF;
  RETURN nodeai.begin_run(org, e, claim, workflow, NULL);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN '{"outcome":"forbidden"}';
END
$$;

-- Where a caller falls in a canary, 0 to 99: always the same for the same deployment and caller, so a larger percentage
-- keeps those who were in.
CREATE FUNCTION nodeai.canary_bucket(deployment uuid, who text) RETURNS integer LANGUAGE sql IMMUTABLE
  RETURN (('x' || substr(md5(deployment::text || ':' || who), 1, 8))::bit(32)::bigint % 100)::integer;
SELECT nodeai.expose('nodeai.canary_bucket(uuid, text)', '{authenticated,service_role}');

-- Starts a run of what is deployed: one read of the deployment's row decides the version, so that a request beside a
-- promotion sees one version or the other. {"execution":{id, org_id, deployment (slug or id), environment?, sticky_key?,
-- … as for run_start}, "idempotency"?} → as run_start, and "paused"; "environment"; the workflow's `vars` are those of
-- its document under the deployment's.
CREATE FUNCTION public.deployment_start(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e jsonb := p -> 'execution';
  org uuid := coalesce(nullif(e ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  claim jsonb := nullif(p -> 'idempotency', 'null');
  earlier jsonb := CASE WHEN claim IS NOT NULL THEN nodeai.claimed_run(org, claim) END;
  who text := coalesce(nullif(e ->> 'sticky_key', ''), nodeai.principal_id()::text);
  named text := e ->> 'deployment';
  d public.deployments;
  workflow jsonb;
BEGIN
  IF earlier IS NOT NULL THEN
    RETURN earlier;
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
  RETURN nodeai.begin_run(org, e, claim, workflow, d.id) || jsonb_build_object('environment', d.environment);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN '{"outcome":"forbidden"}';
END
$$;
SELECT nodeai.expose('public.deployment_start(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('deployment_start');

-- Changes: each is one row of the deployment, one of its history and one of the audit log -------------------------------

-- The deployment, locked for a change; refuses as public.write does.
CREATE FUNCTION nodeai.touch_deployment(org uuid, args jsonb) RETURNS public.deployments
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  wanted uuid := (args ->> 'id')::uuid;
  expected integer := (args ->> 'expect_version')::integer;
  d public.deployments;
BEGIN
  IF NOT EXISTS (SELECT FROM public.deployments x WHERE x.id = wanted AND x.org_id = org) THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF NOT coalesce(org = ANY (nodeai.orgs_with('editor')), false) THEN
    RAISE EXCEPTION 'not an editor' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT * INTO d FROM public.deployments x WHERE x.id = wanted AND x.org_id = org FOR UPDATE;
  IF d.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF expected IS NOT NULL AND d.version <> expected THEN
    RAISE EXCEPTION 'stale' USING ERRCODE = 'NA412', DETAIL = d.version::text;
  END IF;
  RETURN d;
END
$$;
SELECT nodeai.expose('nodeai.touch_deployment(uuid, jsonb)', '{authenticated,service_role}');

-- Refuses a version that the workflow does not have. Without one: the current one.
CREATE FUNCTION nodeai.deployable(org uuid, workflow uuid, wanted integer) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  current integer;
BEGIN
  SELECT w.version INTO current FROM public.workflows w
    WHERE w.id = workflow AND w.org_id = org AND w.deleted_at IS NULL;
  IF current IS NULL THEN
    RAISE EXCEPTION 'there is no such workflow here' USING ERRCODE = 'NA409';
  ELSIF wanted IS NOT NULL AND wanted <> current AND NOT EXISTS (
      SELECT FROM public.workflow_versions v WHERE v.workflow_id = workflow AND v.number = wanted) THEN
    RAISE EXCEPTION 'the workflow has no version %', wanted USING ERRCODE = 'NA409';
  END IF;
  RETURN coalesce(wanted, current);
END
$$;
SELECT nodeai.expose('nodeai.deployable(uuid, uuid, integer)', '{authenticated,service_role}');

-- Appends to the history what made `d` what it is; gives what nodeai.run_write takes from a body.
CREATE FUNCTION nodeai.note_deployment(d public.deployments, action text, was integer, details jsonb, changes jsonb)
RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  PERFORM nodeai.insert_row('deployment_history', nodeai.uuid_v7(), d.org_id, jsonb_build_object(
    'deployment_id', d.id, 'number', d.version, 'action', action, 'from_version', was,
    'to_version', d.workflow_version, 'details', details));
  RETURN jsonb_build_object('version', d.version, 'body', to_jsonb(d) - 'org_id', 'changes', changes);
END
$$;
SELECT nodeai.expose('nodeai.note_deployment(public.deployments, text, integer, jsonb, jsonb)',
  '{authenticated,service_role}');

-- Makes a deployment at a version.
CREATE FUNCTION nodeai.new_deployment(org uuid, row_id uuid, given jsonb, action text, details jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  made public.deployments;
BEGIN
  PERFORM nodeai.insert_row('deployments', row_id, org, given);
  SELECT * INTO made FROM public.deployments x WHERE x.id = row_id;
  RETURN nodeai.note_deployment(made, action, NULL, details, jsonb_build_object('after', nodeai.audit_view(given)));
END
$$;
SELECT nodeai.expose('nodeai.new_deployment(uuid, uuid, jsonb, text, jsonb)', '{authenticated,service_role}');

-- Changes a deployment that nodeai.touch_deployment has locked.
CREATE FUNCTION nodeai.set_deployment(d public.deployments, given jsonb, action text, details jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  made public.deployments;
  names jsonb := (SELECT jsonb_agg(k) FROM jsonb_object_keys(given) k);
BEGIN
  PERFORM nodeai.change_row('deployments', 'update', d.id, d.org_id, given, d.version);
  SELECT * INTO made FROM public.deployments x WHERE x.id = d.id;
  RETURN nodeai.note_deployment(made, action, d.workflow_version, details, jsonb_build_object(
    'before', nodeai.some_of(to_jsonb(d), names), 'after', nodeai.some_of(to_jsonb(made), names)));
END
$$;
SELECT nodeai.expose('nodeai.set_deployment(public.deployments, jsonb, text, jsonb)', '{authenticated,service_role}');

-- The columns of "everybody gets this version": a canary ends.
CREATE FUNCTION nodeai.for_everybody(wanted integer) RETURNS jsonb LANGUAGE sql IMMUTABLE
  RETURN jsonb_build_object('workflow_version', wanted, 'canary_version', NULL, 'canary_percent', 0);
SELECT nodeai.expose('nodeai.for_everybody(integer)', '{authenticated,service_role}');

-- {"id","slug","workflow_id","version"?,"environment","variables"}
CREATE FUNCTION nodeai.do_deployment_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
  SELECT nodeai.new_deployment(org, (p #>> '{args,id}')::uuid,
    (p -> 'args') - ARRAY['id', 'version'] || jsonb_build_object('workflow_version',
      nodeai.deployable(org, (p #>> '{args,workflow_id}')::uuid, (p #>> '{args,version}')::integer)),
    'create', '{}')
$$;
SELECT nodeai.expose('nodeai.do_deployment_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?,"version"}
CREATE FUNCTION nodeai.do_deployment_publish(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  d public.deployments := nodeai.touch_deployment(org, p -> 'args');
  wanted integer := nodeai.deployable(org, d.workflow_id, (p #>> '{args,version}')::integer);
BEGIN
  RETURN nodeai.set_deployment(d, nodeai.for_everybody(wanted), 'publish', '{}');
END
$$;
SELECT nodeai.expose('nodeai.do_deployment_publish(uuid, jsonb)', '{authenticated,service_role}');

-- Back to what ran before the running version was published; again, and it goes back further. Or to `version`, which
-- must have run here. A rollback's `details.state` is the number of the publication that it returns to.
-- {"id","expect_version"?,"version"?}
CREATE FUNCTION nodeai.do_deployment_rollback(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  d public.deployments := nodeai.touch_deployment(org, p -> 'args');
  wanted integer := (p #>> '{args,version}')::integer;
  state integer;
  target public.deployment_history;
BEGIN
  SELECT coalesce((h.details ->> 'state')::integer, h.number) INTO state FROM public.deployment_history h
    WHERE h.deployment_id = d.id AND h.action IN ('create', 'publish', 'promote', 'rollback')
    ORDER BY h.number DESC LIMIT 1;
  SELECT * INTO target FROM public.deployment_history h
    WHERE h.deployment_id = d.id AND h.action IN ('create', 'publish', 'promote', 'rollback')
      AND CASE WHEN wanted IS NULL THEN h.number < state ELSE h.to_version = wanted END
    ORDER BY h.number DESC LIMIT 1;
  IF target.id IS NULL THEN
    RAISE EXCEPTION '%', coalesce('version ' || wanted || ' has never run here', 'there is no version to go back to')
      USING ERRCODE = 'NA409';
  END IF;
  RETURN nodeai.set_deployment(d, nodeai.for_everybody(target.to_version), 'rollback',
    jsonb_build_object('state', coalesce((target.details ->> 'state')::integer, target.number)));
END
$$;
SELECT nodeai.expose('nodeai.do_deployment_rollback(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?,"version"?,"percent"}; 0 percent ends it.
CREATE FUNCTION nodeai.do_deployment_canary(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  d public.deployments := nodeai.touch_deployment(org, p -> 'args');
  share integer := (p #>> '{args,percent}')::integer;
  wanted integer;
BEGIN
  IF share > 0 THEN
    wanted := nodeai.deployable(org, d.workflow_id, (p #>> '{args,version}')::integer);
    IF wanted = d.workflow_version THEN
      RAISE EXCEPTION 'version % is the one that everybody gets', wanted USING ERRCODE = 'NA409';
    END IF;
  END IF;
  RETURN nodeai.set_deployment(d, jsonb_build_object('canary_version', wanted, 'canary_percent', share), 'canary',
    jsonb_build_object('version', wanted, 'percent', share));
END
$$;
SELECT nodeai.expose('nodeai.do_deployment_canary(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?,"paused"}
CREATE FUNCTION nodeai.do_deployment_pause(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  d public.deployments := nodeai.touch_deployment(org, p -> 'args');
  paused boolean := (p #>> '{args,paused}')::boolean;
BEGIN
  RETURN nodeai.set_deployment(d, jsonb_build_object('status', CASE WHEN paused THEN 'paused' ELSE 'active' END),
    CASE WHEN paused THEN 'pause' ELSE 'resume' END, '{}');
END
$$;
SELECT nodeai.expose('nodeai.do_deployment_pause(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?,"variables"}
CREATE FUNCTION nodeai.do_deployment_configure(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  RETURN nodeai.set_deployment(nodeai.touch_deployment(org, p -> 'args'),
    jsonb_build_object('variables', p #> '{args,variables}'), 'configure', '{}');
END
$$;
SELECT nodeai.expose('nodeai.do_deployment_configure(uuid, jsonb)', '{authenticated,service_role}');

-- The running version goes to the same slug in a later environment, which is made when it is not there; its variables and
-- its status stay its own. Rows are locked from dev to prod, so two promotions never wait for each other.
-- {"id","expect_version"?,"to","new_id"} → the deployment there.
CREATE FUNCTION nodeai.do_deployment_promote(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  d public.deployments := nodeai.touch_deployment(org, args);
  places text[] := '{dev,staging,prod}';
  details jsonb := jsonb_build_object('from_deployment', d.id, 'from_environment', d.environment);
  there uuid;
  other public.deployments;
  done jsonb;
BEGIN
  IF array_position(places, args ->> 'to') <= array_position(places, d.environment) THEN
    RAISE EXCEPTION 'a deployment in % is not promoted to %', d.environment, args ->> 'to' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.deployable(org, d.workflow_id, d.workflow_version);
  SELECT x.id INTO there FROM public.deployments x
    WHERE x.org_id = org AND x.slug = d.slug AND x.environment = args ->> 'to';
  IF there IS NULL THEN
    there := (args ->> 'new_id')::uuid;
    done := nodeai.new_deployment(org, there, jsonb_build_object('workflow_id', d.workflow_id, 'slug', d.slug,
      'environment', args ->> 'to', 'workflow_version', d.workflow_version), 'promote', details);
  ELSE
    other := nodeai.touch_deployment(org, jsonb_build_object('id', there));
    IF other.workflow_id <> d.workflow_id THEN
      RAISE EXCEPTION 'in % this slug belongs to another workflow', args ->> 'to' USING ERRCODE = 'NA409';
    END IF;
    done := nodeai.set_deployment(other, nodeai.for_everybody(d.workflow_version), 'promote', details);
  END IF;
  -- What changed is the other one: its row of the audit log, beside the frame's for this one.
  PERFORM nodeai.audit(org, (p -> 'audit') || jsonb_build_object('action', 'deployment.promoted_to', 'resource_id', there,
    'details', details || (done -> 'changes')));
  RETURN done || jsonb_build_object('changes', jsonb_build_object('to_deployment', there, 'to', args ->> 'to',
    'workflow_version', d.workflow_version));
END
$$;
SELECT nodeai.expose('nodeai.do_deployment_promote(uuid, jsonb)', '{authenticated,service_role}');

-- Traffic and errors -----------------------------------------------------------------------------------------------------

-- Runs that came through a deployment: in all and by version. Percentiles are over runs that have ended.
-- {"id","org_id","from"?,"to"?} (RFC 3339; the last 24 hours unless given) → {"from","to","total","versions"} or null.
CREATE FUNCTION public.deployment_stats(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  deployment uuid := (p ->> 'id')::uuid;
  until timestamptz := coalesce((p ->> 'to')::timestamptz, clock_timestamp());
  since timestamptz := coalesce((p ->> 'from')::timestamptz, until - interval '24 hours');
  answer jsonb;
BEGIN
  IF NOT EXISTS (SELECT FROM public.deployments d WHERE d.id = deployment AND d.org_id = org) THEN
    RETURN NULL;
  END IF;
  WITH counted AS (
    SELECT grouping(q.workflow_version) = 1 AS whole, q.workflow_version AS version, jsonb_build_object(
        'version', q.workflow_version, 'runs', count(*),
        'succeeded', count(*) FILTER (WHERE q.status = 'succeeded'),
        'failed', count(*) FILTER (WHERE q.status = 'failed'),
        'cancelled', count(*) FILTER (WHERE q.status = 'cancelled'),
        'error_rate', coalesce(count(*) FILTER (WHERE q.status = 'failed')::float8
          / nullif(count(*) FILTER (WHERE q.finished_at IS NOT NULL), 0), 0),
        'p50_ms', percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM q.finished_at - q.started_at) * 1000),
        'p95_ms', percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM q.finished_at - q.started_at) * 1000),
        'prompt_tokens', coalesce(sum(q.prompt_tokens), 0), 'completion_tokens', coalesce(sum(q.completion_tokens), 0),
        'cost_pusd', coalesce(sum(q.cost_pusd), 0)) AS row
    FROM public.execution_queue q
    WHERE q.org_id = org AND q.deployment_id = deployment AND q.created_at >= since AND q.created_at < until
    GROUP BY GROUPING SETS ((q.workflow_version), ())
  )
  SELECT jsonb_build_object('from_us', nodeai.to_us(since), 'to_us', nodeai.to_us(until),
      'total', (SELECT c.row FROM counted c WHERE c.whole),
      'versions', (SELECT coalesce(jsonb_agg(c.row ORDER BY c.version DESC), '[]') FROM counted c WHERE NOT c.whole))
    INTO answer;
  RETURN answer;
END
$$;
SELECT nodeai.expose('public.deployment_stats(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('deployment_stats');
