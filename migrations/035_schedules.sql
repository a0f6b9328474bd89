-- Schedules: what is due is taken up by a lease, the guest says which of its instants run and when it is due next, and one
-- function call starts those runs with the owner's claims and moves the schedule on.

ALTER TABLE public.schedules DROP CONSTRAINT schedules_missed;
UPDATE public.schedules SET missed = CASE missed WHEN 'latest' THEN 'run_once' WHEN 'all' THEN 'run_all' ELSE missed END;
ALTER TABLE public.schedules
  ALTER COLUMN workflow_id DROP NOT NULL,
  ALTER COLUMN missed SET DEFAULT 'run_once',
  ADD CONSTRAINT schedules_missed CHECK (missed IN ('skip', 'run_once', 'run_all')),
  ADD CONSTRAINT schedules_time_zone_length CHECK (char_length(time_zone) BETWEEN 1 AND 100),
  ADD COLUMN workflow_version integer CONSTRAINT schedules_workflow_version CHECK (workflow_version > 0),
  ADD COLUMN deployment_id uuid CONSTRAINT schedules_deployment REFERENCES public.deployments (id) ON DELETE CASCADE,
  ADD COLUMN overlap text NOT NULL DEFAULT 'allow' CONSTRAINT schedules_overlap CHECK (overlap IN ('allow', 'skip', 'queue')),
  ADD COLUMN starts_at timestamptz,
  ADD COLUMN ends_at timestamptz,
  -- Whoever said last what it runs, or turned it on last.
  ADD COLUMN owner_id uuid,
  ADD COLUMN owner_key_id uuid,
  -- The instant that comes next by the expression; `next_at` is that and its jitter.
  ADD COLUMN next_scheduled_at timestamptz,
  ADD COLUMN last_execution_id uuid,
  -- Of the runs that ended last, how many failed in a row.
  ADD COLUMN failures integer NOT NULL DEFAULT 0,
  ADD COLUMN paused_reason text,
  ADD CONSTRAINT schedules_target CHECK ((workflow_id IS NULL) <> (deployment_id IS NULL)),
  ADD CONSTRAINT schedules_ends_after_start CHECK (ends_at > starts_at);
CREATE INDEX schedules_deployment_idx ON public.schedules (deployment_id) WHERE deployment_id IS NOT NULL;
CREATE INDEX schedules_last_execution_idx ON public.schedules (last_execution_id) WHERE last_execution_id IS NOT NULL;
SELECT nodeai.belongs_to('public.schedules', 'deployments', 'deployment_id');
CREATE TRIGGER own_schedule BEFORE INSERT OR UPDATE ON public.schedules
  FOR EACH ROW EXECUTE FUNCTION nodeai.own_trigger();

UPDATE nodeai.writable_tables SET
    insertable = insertable || '{workflow_version,deployment_id,overlap,starts_at,ends_at,next_scheduled_at,paused_reason}'::text[],
    updatable = updatable || '{workflow_id,workflow_version,deployment_id,overlap,starts_at,ends_at,next_scheduled_at,paused_reason}'::text[]
  WHERE table_name = 'schedules';
GRANT INSERT (workflow_version, deployment_id, overlap, starts_at, ends_at, next_scheduled_at, paused_reason),
  UPDATE (workflow_id, workflow_version, deployment_id, overlap, starts_at, ends_at, next_scheduled_at, paused_reason)
  ON public.schedules TO authenticated;

-- What became of an instant, the newest 200 of each schedule.
CREATE TABLE public.schedule_firings (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  schedule_id uuid NOT NULL CONSTRAINT schedule_firings_schedule REFERENCES public.schedules (id) ON DELETE CASCADE,
  -- The instant by the expression; of missed ones the newest.
  scheduled_at timestamptz NOT NULL,
  fired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  outcome text NOT NULL CONSTRAINT schedule_firings_outcome CHECK (outcome IN (
    'started', 'repeated', 'overlapped', 'missed', 'owner_gone', 'missing', 'forbidden', 'paused', 'archived')),
  -- Of `missed`: how many instants.
  count integer NOT NULL DEFAULT 1,
  execution_id uuid
);
CREATE INDEX schedule_firings_schedule_idx ON public.schedule_firings (schedule_id, id DESC);
CREATE INDEX schedule_firings_org_idx ON public.schedule_firings (org_id);
SELECT nodeai.tenant_table('public.schedule_firings');
SELECT nodeai.belongs_to('public.schedule_firings', 'schedules', 'schedule_id');

-- What the API shows of a schedule.
CREATE FUNCTION nodeai.schedule_shown(s public.schedules) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(s) - ARRAY['org_id', 'created_by', 'lease_until', 'lease_token', 'next_at'];
SELECT nodeai.expose('nodeai.schedule_shown(public.schedules)', '{authenticated,service_role}');

-- A schedule of the organisation, or NA404.
CREATE FUNCTION nodeai.schedule_of(org uuid, schedule uuid) RETURNS public.schedules
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  s public.schedules;
BEGIN
  SELECT * INTO s FROM public.schedules x WHERE x.id = schedule AND x.org_id = org;
  IF s.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN s;
END
$$;
SELECT nodeai.expose('nodeai.schedule_of(uuid, uuid)', '{authenticated,service_role}');

-- {"id","row"}
CREATE FUNCTION nodeai.do_schedule_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
BEGIN
  IF (SELECT count(*) FROM public.schedules s WHERE s.org_id = org) >= 500 THEN
    RAISE EXCEPTION 'an organisation has at most 500 schedules' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.require_target(org, (given ->> 'workflow_id')::uuid, (given ->> 'workflow_version')::integer,
    (given ->> 'deployment_id')::uuid);
  PERFORM nodeai.insert_row('schedules', (args ->> 'id')::uuid, org, given);
  RETURN jsonb_build_object('version', 1, 'changes', jsonb_build_object('after', nodeai.audit_view(given)),
    'body', nodeai.schedule_shown(nodeai.schedule_of(org, (args ->> 'id')::uuid)));
END
$$;
SELECT nodeai.expose('nodeai.do_schedule_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version","row"}. The version is the one by which the guest has worked out the next instant.
CREATE FUNCTION nodeai.do_schedule_update(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
  names jsonb := (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys(given) k);
  before public.schedules := nodeai.schedule_of(org, (args ->> 'id')::uuid);
  made public.schedules := jsonb_populate_record(before, given);
BEGIN
  IF given ?| '{workflow_id,workflow_version,deployment_id}' THEN
    PERFORM nodeai.require_target(org, made.workflow_id, made.workflow_version, made.deployment_id);
  END IF;
  PERFORM nodeai.change_row('schedules', 'update', before.id, org, given, (args ->> 'expect_version')::integer);
  made := nodeai.schedule_of(org, before.id);
  RETURN jsonb_build_object('version', made.version, 'body', nodeai.schedule_shown(made), 'changes', jsonb_build_object(
    'before', nodeai.some_of(to_jsonb(before), names), 'after', nodeai.some_of(to_jsonb(made), names)));
END
$$;
SELECT nodeai.expose('nodeai.do_schedule_update(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?}. Its runs stay.
CREATE FUNCTION nodeai.do_schedule_remove(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  before public.schedules := nodeai.schedule_of(org, (args ->> 'id')::uuid);
BEGIN
  PERFORM nodeai.change_row('schedules', 'delete', before.id, org, '{}', (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('changes', jsonb_build_object('before', nodeai.audit_view(nodeai.schedule_shown(before))));
END
$$;
SELECT nodeai.expose('nodeai.do_schedule_remove(uuid, jsonb)', '{authenticated,service_role}');

-- What is due goes by the row alone; a change that moves it ends a lease that somebody has: what that one fires is fenced.
CREATE FUNCTION nodeai.fence_schedule() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.lease_token := OLD.lease_token + 1;
  NEW.lease_until := NULL;
  RETURN NEW;
END
$$;
SELECT nodeai.expose('nodeai.fence_schedule()', '{}');
CREATE TRIGGER fence_schedule BEFORE UPDATE OF cron, time_zone, workflow_id, workflow_version, deployment_id, inputs, missed,
    jitter_ms, overlap, paused, starts_at, ends_at ON public.schedules
  FOR EACH ROW EXECUTE FUNCTION nodeai.fence_schedule();

-- What became of a schedule's instants, newest first: {"id","org_id","before"?,"limit"} → {"firings"} or null.
CREATE FUNCTION public.schedule_history(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('firings', (
    SELECT coalesce(jsonb_agg(x.row ORDER BY x.id DESC), '[]') FROM (
      SELECT f.id, to_jsonb(f) - ARRAY['org_id', 'schedule_id'] || jsonb_build_object('status', q.status) AS row
      FROM public.schedule_firings f
      LEFT JOIN public.execution_queue q ON q.id = f.execution_id AND q.org_id = f.org_id
      WHERE f.schedule_id = s.id AND f.org_id = s.org_id
        AND (p ->> 'before' IS NULL OR f.id < (p ->> 'before')::uuid)
      ORDER BY f.id DESC LIMIT (p ->> 'limit')::integer) x))
  FROM public.schedules s
  WHERE s.id = (p ->> 'id')::uuid
    AND s.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.schedule_history(jsonb)', '{authenticated,service_role}');

-- Firing -------------------------------------------------------------------------------------------------------------

-- Takes up at most `most` schedules that are due: {"org_id"?,"most","lease_us"} → {"schedules": [{"id","org_id","cron",
-- "time_zone","missed","jitter_ms","next_scheduled_us","starts_us","ends_us","lease_token"}],"due_us"}.
CREATE FUNCTION public.schedules_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  at timestamptz := clock_timestamp();
  taken jsonb;
BEGIN
  WITH mine AS MATERIALIZED (
    SELECT s.id FROM public.schedules s
    WHERE NOT s.paused AND s.next_at IS NOT NULL AND s.next_at <= at AND (s.lease_until IS NULL OR s.lease_until < at)
      AND (org IS NULL OR s.org_id = org)
    ORDER BY s.next_at LIMIT (p ->> 'most')::integer FOR UPDATE SKIP LOCKED
  ), leased AS (
    UPDATE public.schedules s SET lease_token = s.lease_token + 1,
      lease_until = at + coalesce((p ->> 'lease_us')::bigint, 60000000) * interval '1 microsecond'
    FROM mine m WHERE s.id = m.id RETURNING s.*
  )
  SELECT jsonb_agg(jsonb_build_object('id', l.id, 'org_id', l.org_id, 'cron', l.cron, 'time_zone', l.time_zone,
      'missed', l.missed, 'jitter_ms', l.jitter_ms, 'lease_token', l.lease_token,
      'next_scheduled_us', nodeai.to_us(l.next_scheduled_at), 'starts_us', nodeai.to_us(l.starts_at),
      'ends_us', nodeai.to_us(l.ends_at)) ORDER BY l.next_at)
    INTO taken FROM leased l;
  RETURN jsonb_build_object('schedules', coalesce(taken, '[]'), 'due_us', CASE WHEN org IS NULL THEN nodeai.to_us((
    SELECT min(s.next_at) FROM public.schedules s WHERE NOT s.paused AND s.next_at IS NOT NULL)) END);
END
$$;
SELECT nodeai.expose('public.schedules_claim(jsonb)', '{service_role}');

-- One instant of a schedule: its run, or why there is none. `run`: {"scheduled_us","execution": {"id","trace_id"}}.
CREATE FUNCTION nodeai.fire_instant(s public.schedules, acting jsonb, run jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  instant text := run ->> 'scheduled_us';
  key text := 'schedule/' || s.id || '/' || instant;
  started jsonb;
BEGIN
  IF acting IS NULL THEN
    RETURN '{"outcome":"owner_gone"}';
  ELSIF s.overlap = 'skip' AND EXISTS (SELECT FROM public.execution_queue q
      WHERE q.id = s.last_execution_id AND q.org_id = s.org_id AND q.finished_at IS NULL) THEN
    RETURN '{"outcome":"overlapped"}';
  END IF;
  started := nodeai.start_as(acting, CASE WHEN s.deployment_id IS NULL THEN 'run_start' ELSE 'deployment_start' END,
    (run -> 'execution') || jsonb_build_object('org_id', s.org_id, 'inputs', s.inputs)
    || CASE WHEN s.overlap = 'queue' THEN jsonb_build_object('concurrency_key', 'schedule/' || s.id) ELSE '{}' END
    || CASE WHEN s.deployment_id IS NULL
      THEN jsonb_build_object('workflow_id', s.workflow_id, 'version', s.workflow_version)
      ELSE jsonb_build_object('deployment', s.deployment_id) END,
    jsonb_build_object('key', key, 'request_hash', key));
  RETURN jsonb_build_object('outcome', CASE started ->> 'outcome' WHEN 'replayed' THEN 'repeated'
    ELSE started ->> 'outcome' END, 'execution_id', started #> '{execution,id}');
END
$$;
SELECT nodeai.expose('nodeai.fire_instant(public.schedules, jsonb, jsonb)', '{service_role}');

-- Fires a schedule that was taken up, and moves it on: {"id","lease_token","runs": [{"scheduled_us","execution"}],
-- "missed"?: {"count","scheduled_us"},"next_scheduled_us"?,"next_us"?} → {"outcome":"fired|fenced","started": [ids]}.
CREATE FUNCTION public.schedule_fire(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  s public.schedules;
  acting jsonb;
  run jsonb;
  made jsonb;
  started jsonb := '[]';
  gone boolean := false;
BEGIN
  SELECT * INTO s FROM public.schedules x
    WHERE x.id = (p ->> 'id')::uuid AND NOT x.paused AND x.lease_token = (p ->> 'lease_token')::bigint FOR UPDATE;
  IF s.id IS NULL THEN
    RETURN '{"outcome":"fenced"}';
  END IF;
  acting := nodeai.claims_of_owner(s.org_id, s.owner_id, s.owner_key_id);
  IF p -> 'missed' <> 'null' THEN
    INSERT INTO public.schedule_firings (id, org_id, schedule_id, scheduled_at, outcome, count)
      VALUES (nodeai.uuid_v7(), s.org_id, s.id, nodeai.from_us((p #>> '{missed,scheduled_us}')::bigint), 'missed',
        (p #>> '{missed,count}')::integer);
  END IF;
  FOR run IN SELECT r FROM jsonb_array_elements(p -> 'runs') r LOOP
    made := nodeai.fire_instant(s, acting, run);
    gone := gone OR made ->> 'outcome' = 'owner_gone';
    IF made ->> 'outcome' IN ('started', 'repeated') THEN
      s.last_execution_id := (made ->> 'execution_id')::uuid;
      started := started || jsonb_build_array(made -> 'execution_id');
    END IF;
    INSERT INTO public.schedule_firings (id, org_id, schedule_id, scheduled_at, outcome, execution_id)
      VALUES (nodeai.uuid_v7(), s.org_id, s.id, nodeai.from_us((run ->> 'scheduled_us')::bigint), made ->> 'outcome',
        (made ->> 'execution_id')::uuid);
    EXIT WHEN gone;
  END LOOP;
  UPDATE public.schedules x SET last_execution_id = s.last_execution_id, lease_until = NULL,
      last_at = CASE WHEN jsonb_array_length(started) > 0 THEN clock_timestamp() ELSE x.last_at END,
      next_scheduled_at = nodeai.from_us((p ->> 'next_scheduled_us')::bigint),
      next_at = nodeai.from_us((p ->> 'next_us')::bigint)
    WHERE x.id = s.id;
  IF gone THEN
    UPDATE public.schedules x SET paused = true, paused_reason = 'the owner may not run workflows any more',
        version = x.version + 1, updated_at = clock_timestamp()
      WHERE x.id = s.id;
    PERFORM nodeai.audit(s.org_id, jsonb_build_object('action', 'schedule.refused', 'resource_type', 'schedule',
      'resource_id', s.id, 'details', jsonb_build_object('reason', 'the owner may not run workflows any more',
        'owner_id', s.owner_id, 'owner_key_id', s.owner_key_id)));
  END IF;
  DELETE FROM public.schedule_firings f WHERE f.schedule_id = s.id AND f.id < (
    SELECT x.id FROM public.schedule_firings x WHERE x.schedule_id = s.id ORDER BY x.id DESC OFFSET 199 LIMIT 1);
  RETURN jsonb_build_object('outcome', 'fired', 'started', started);
END
$$;
SELECT nodeai.expose('public.schedule_fire(jsonb)', '{service_role}');

-- Counts the failures in a row of the run that a schedule started last.
CREATE FUNCTION nodeai.count_schedule_failure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.schedules s SET failures = CASE NEW.status WHEN 'failed' THEN s.failures + 1 ELSE 0 END
    WHERE s.last_execution_id = NEW.id AND s.org_id = NEW.org_id;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.count_schedule_failure()', '{}');
CREATE TRIGGER count_schedule_failure AFTER UPDATE OF finished_at ON public.execution_queue
  FOR EACH ROW WHEN (NEW.mode = 'queued' AND OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
    AND NEW.status IN ('succeeded', 'failed')) EXECUTE FUNCTION nodeai.count_schedule_failure();

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['schedules_claim', 'schedule_fire', 'schedule_history']) fn;
