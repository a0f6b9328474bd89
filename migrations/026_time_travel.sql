-- Time travel: recordings of runs with a retention of their own, forks, and what replays and comparisons read.
--
-- A recording's pieces (`run_log_segments.events`) are texts: each the exact JSON of some events, since jsonb would order
-- members and rewrite numbers, and a replay is compared byte for byte. Pieces of older runs are the events themselves.

-- How long the logs of runs that have ended are kept; as long as traces unless given.
ALTER TABLE public.organizations ADD COLUMN run_log_retention_days integer
  CONSTRAINT organizations_run_log_retention_days CHECK (run_log_retention_days BETWEEN 1 AND 3650);
GRANT UPDATE (run_log_retention_days) ON public.organizations TO authenticated;

-- `forked_from`, `forked_node`: the run whose results this one took over, and where it starts. That run may be gone.
-- `log_dropped_at`: when the log went, by its retention.
ALTER TABLE public.execution_queue
  ADD COLUMN forked_from uuid,
  ADD COLUMN forked_node text CONSTRAINT execution_queue_forked_node_length CHECK (char_length(forked_node) BETWEEN 1 AND 128),
  ADD COLUMN log_dropped_at timestamptz,
  ADD CONSTRAINT execution_queue_fork CHECK ((forked_from IS NULL) = (forked_node IS NULL));
CREATE INDEX execution_queue_forks_idx ON public.execution_queue (org_id, forked_from, id DESC)
  WHERE forked_from IS NOT NULL;
CREATE INDEX run_log_segments_at_idx ON public.run_log_segments (org_id, at);

-- An execution with everything that the API shows of it.
CREATE FUNCTION nodeai.execution_view(e public.execution_queue) RETURNS jsonb LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT nodeai.execution_json(e) || jsonb_build_object(
    'deployment_id', e.deployment_id, 'deployment_version', e.deployment_version, 'environment', e.environment,
    'variables', e.variables, 'forked_from', CASE WHEN e.forked_from IS NOT NULL
      THEN jsonb_build_object('execution_id', e.forked_from, 'node', e.forked_node) END)
$$;
SELECT nodeai.expose('nodeai.execution_view(public.execution_queue)', '{authenticated,service_role}');

-- The pieces of a run's log that have events from `first` to `last`, in order: a list of texts and events.
CREATE FUNCTION nodeai.log_pieces(org uuid, run uuid, first bigint, last bigint) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(piece ORDER BY s.first_seq, place), '[]')
  FROM public.run_log_segments s CROSS JOIN LATERAL jsonb_array_elements(s.events) WITH ORDINALITY AS x(piece, place)
  WHERE s.org_id = org AND s.execution_id = run
    AND (first IS NULL OR s.last_seq >= first) AND (last IS NULL OR s.first_seq <= last)
$$;
SELECT nodeai.expose('nodeai.log_pieces(uuid, uuid, bigint, bigint)', '{authenticated,service_role}');

-- As before: {"id","org_id","events":bool?} → {"execution","events"?} or null; `events` are the log's pieces.
CREATE OR REPLACE FUNCTION public.run_get(p jsonb) RETURNS jsonb
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
  answer := jsonb_build_object('execution', nodeai.execution_view(q));
  IF coalesce((p ->> 'events')::boolean, false) THEN
    answer := answer || jsonb_build_object('events', nodeai.log_pieces(q.org_id, q.id, NULL, NULL));
  END IF;
  RETURN answer;
END
$$;

-- What a run has recorded: {"id","org_id","first_seq"?,"last_seq"?,"definition":bool?} → {"execution","pieces",
-- "dropped": whether the log went by its retention, "workflow": {"name","archived","definition"} when asked for} or null.
-- The definition is what ran: the stored version under the deployment's variables, or the one that came with the
-- request. `workflow` is null when the stored one is not there for the caller any more.
CREATE FUNCTION public.run_recording(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
  workflow jsonb;
BEGIN
  SELECT * INTO q FROM public.execution_queue x
    WHERE x.id = (p ->> 'id')::uuid
      AND x.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  IF q.id IS NULL THEN
    RETURN NULL;
  END IF;
  IF coalesce((p ->> 'definition')::boolean, false) THEN
    workflow := CASE
      WHEN q.workflow_id IS NOT NULL THEN nodeai.runnable(q.workflow_id, q.workflow_version)
      WHEN q.definition IS NOT NULL THEN jsonb_build_object('name', '', 'definition', q.definition) END;
    IF q.variables IS NOT NULL AND workflow IS NOT NULL THEN
      workflow := jsonb_set(workflow, '{definition,vars}', q.variables);
    END IF;
  END IF;
  RETURN jsonb_build_object('execution', nodeai.execution_view(q), 'workflow', workflow,
    'dropped', q.log_dropped_at IS NOT NULL,
    'pieces', nodeai.log_pieces(q.org_id, q.id, (p ->> 'first_seq')::bigint, (p ->> 'last_seq')::bigint));
END
$$;
SELECT nodeai.expose('public.run_recording(jsonb)', '{authenticated,service_role}');

-- Whether the caller's scopes have this one.
CREATE FUNCTION nodeai.holds(wanted text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT nodeai.scope_covers(
    ARRAY(SELECT jsonb_array_elements_text(coalesce(nullif(nodeai.claims() -> 'scopes', 'null'), '[]'))), wanted)
$$;
SELECT nodeai.expose('nodeai.holds(text)', '{authenticated,service_role}');

-- Starts a fork: {"execution":{… as for run_start, "forked_from","forked_node"}, "idempotency"?} → as run_start, and
-- "environment". A fork of what came through a deployment opens the secrets of that environment only when it runs the
-- same version (`workflow_id` is given), and then only for a caller that may run deployments.
CREATE FUNCTION public.fork_start(p jsonb) RETURNS jsonb
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
  IF deployed AND NOT nodeai.holds('deployments:run') THEN
    RETURN '{"outcome":"forbidden"}';
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
  RETURN answer || jsonb_build_object('execution', nodeai.execution_view(made), 'environment', made.environment);
END
$$;
SELECT nodeai.expose('public.fork_start(jsonb)', '{authenticated,service_role}');

-- Retention ----------------------------------------------------------------------------------------------------------

-- How long recordings are kept: {"org_id"} → {"days": days or null, "in_force_days"}.
CREATE FUNCTION public.recording_retention(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('days', o.run_log_retention_days,
    'in_force_days', coalesce(o.run_log_retention_days, o.retention_days))
  FROM public.organizations o
  WHERE o.id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.recording_retention(jsonb)', '{authenticated,service_role}');

-- {"days": 1 to 3650, or null for as long as traces}
CREATE FUNCTION nodeai.do_recording_retention(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  before integer;
  days integer := (p #>> '{args,days}')::integer;
BEGIN
  SELECT o.run_log_retention_days INTO before FROM public.organizations o WHERE o.id = org;
  UPDATE public.organizations o SET run_log_retention_days = days WHERE o.id = org;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'this caller may not change how long recordings are kept' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN jsonb_build_object('body', public.recording_retention(jsonb_build_object('org_id', org)),
    'changes', jsonb_build_object('before', before, 'after', days));
END
$$;
SELECT nodeai.expose('nodeai.do_recording_retention(uuid, jsonb)', '{authenticated,service_role}');

-- Drops the logs of runs that ended before their organisation's retention. What the run gave, its trace and its usage stay.
CREATE FUNCTION nodeai.drop_run_logs(today date) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org record;
  touched bigint;
  dropped bigint := 0;
BEGIN
  FOR org IN SELECT o.id, (today - coalesce(o.run_log_retention_days, o.retention_days))::timestamp AT TIME ZONE 'UTC' AS kept
             FROM public.organizations o LOOP
    WITH gone AS (
      DELETE FROM public.run_log_segments s USING public.execution_queue q
        WHERE s.org_id = org.id AND s.at < org.kept
          AND q.org_id = s.org_id AND q.id = s.execution_id AND q.finished_at < org.kept
        RETURNING s.execution_id)
    UPDATE public.execution_queue q SET log_dropped_at = clock_timestamp()
      WHERE q.org_id = org.id AND q.id IN (SELECT g.execution_id FROM gone g);
    GET DIAGNOSTICS touched = ROW_COUNT;
    dropped := dropped + touched;
  END LOOP;
  RETURN jsonb_build_object('run_logs_dropped', dropped);
END
$$;
SELECT nodeai.expose('nodeai.drop_run_logs(date)', '{}');

-- Housekeeping asks for one retention; now there are two.
ALTER FUNCTION nodeai.apply_retention(date) RENAME TO apply_trace_retention;
CREATE FUNCTION nodeai.apply_retention(today date) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  RETURN nodeai.apply_trace_retention(today) || nodeai.drop_run_logs(today);
END
$$;
SELECT nodeai.expose('nodeai.apply_retention(date)', '{}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['run_recording', 'fork_start', 'recording_retention']) fn;
