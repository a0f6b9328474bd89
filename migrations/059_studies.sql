-- Studies: which parameters of a workflow are best for a dataset. Every trial is the workflow with some values put into its nodes. A study
-- makes no run of its own: it makes evaluations, each of one trial on some questions, and goes on when they have ended. The search is
-- scored by a metric that costs little; only the finalists are held against the workflow as it is by the one that counts.

CREATE TABLE public.studies (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT studies_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  workflow_id uuid NOT NULL CONSTRAINT studies_workflow REFERENCES public.workflows (id) ON DELETE CASCADE,
  workflow_version integer NOT NULL,
  -- The workflow's document at that version.
  definition jsonb NOT NULL,
  dataset_id uuid NOT NULL CONSTRAINT studies_dataset REFERENCES public.eval_datasets (id) ON DELETE CASCADE,
  dataset_version integer NOT NULL,
  name text NOT NULL CONSTRAINT studies_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  -- [{"name"?,"node"?,"path","values"}]
  parameters jsonb NOT NULL CONSTRAINT studies_parameters_list CHECK (jsonb_typeof(parameters) = 'array'),
  -- {"input"?,"inputs"?}
  target jsonb NOT NULL DEFAULT '{}',
  -- {"screen","metric","places","concurrency","allow_unpriced","first"?}
  settings jsonb NOT NULL,
  judge jsonb,
  -- {"usd"?,"minutes"?}
  budget jsonb NOT NULL DEFAULT '{}',
  seed bigint NOT NULL DEFAULT 0,
  -- Its questions; evaluations name them by their places, from 0.
  items uuid[] NOT NULL CONSTRAINT studies_items_few CHECK (cardinality(items) BETWEEN 1 AND 1000),
  trials integer NOT NULL,
  status text NOT NULL DEFAULT 'queued'
    CONSTRAINT studies_status CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  progress jsonb NOT NULL DEFAULT '{}',
  outcome jsonb,
  -- The workflow as the winner has it.
  winner_definition jsonb,
  error jsonb,
  cost_pusd bigint NOT NULL DEFAULT 0,
  -- {"days","most","question": pointer into a trace's input,"expected"?,"apply"}: once more, with what production has asked meanwhile.
  retune jsonb,
  -- The study that this one repeats.
  repeats uuid CONSTRAINT studies_repeats REFERENCES public.studies (id) ON DELETE SET NULL,
  owner_id uuid,
  owner_key_id uuid,
  applied_at timestamptz,
  applied_version integer,
  rolled_back_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  -- When something is due: its next step, or the next study of one that repeats.
  next_at timestamptz DEFAULT now(),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX studies_org_idx ON public.studies (org_id, id DESC);
CREATE INDEX studies_workflow_idx ON public.studies (workflow_id);
CREATE INDEX studies_dataset_idx ON public.studies (dataset_id);
CREATE INDEX studies_repeats_idx ON public.studies (repeats) WHERE repeats IS NOT NULL;
CREATE INDEX studies_due_idx ON public.studies (next_at, id) WHERE next_at IS NOT NULL;
SELECT nodeai.tenant_table('public.studies');
SELECT nodeai.belongs_to('public.studies', 'workflows', 'workflow_id');
SELECT nodeai.belongs_to('public.studies', 'eval_datasets', 'dataset_id');
SELECT nodeai.allow_write('studies',
  '{workflow_id,workflow_version,definition,dataset_id,dataset_version,name,parameters,target,settings,judge,budget,seed,items,trials,retune}',
  '{name,status,finished_at,next_at,applied_at,applied_version,rolled_back_at}');
CREATE TRIGGER own_study BEFORE INSERT ON public.studies FOR EACH ROW EXECUTE FUNCTION nodeai.own_trigger();

-- What is tried; the first one is the workflow as it is. `rank` says which was best, once that is known.
CREATE TABLE public.study_trials (
  org_id uuid NOT NULL,
  study_id uuid NOT NULL CONSTRAINT study_trials_study REFERENCES public.studies (id) ON DELETE CASCADE,
  number integer NOT NULL,
  settings jsonb NOT NULL,
  rank integer,
  scores jsonb,
  latency_us bigint,
  -- Of 1,000 queries.
  cost_pusd bigint,
  PRIMARY KEY (study_id, number)
);
CREATE INDEX study_trials_rank_idx ON public.study_trials (study_id, rank);
CREATE INDEX study_trials_org_idx ON public.study_trials (org_id);
SELECT nodeai.tenant_table('public.study_trials', 'viewer', 'editor', 'SELECT, INSERT');
SELECT nodeai.belongs_to('public.study_trials', 'studies', 'study_id');

ALTER TABLE public.evaluations
  ADD COLUMN study_id uuid CONSTRAINT evaluations_study REFERENCES public.studies (id) ON DELETE CASCADE,
  ADD COLUMN study_trial integer,
  ADD COLUMN study_part text CONSTRAINT evaluations_study_part CHECK (study_part IN ('search', 'verdict')),
  -- Places among the study's questions.
  ADD COLUMN study_questions integer[];
CREATE INDEX evaluations_study_idx ON public.evaluations (study_id, status) WHERE study_id IS NOT NULL;

-- As before, and where it comes from is said by `study_id` alone.
CREATE OR REPLACE FUNCTION nodeai.evaluation_shown(e public.evaluations) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(e) - ARRAY['org_id', 'created_by', 'lease_until', 'lease_token', 'next_at', 'cost_pusd', 'budget_pusd',
      'study_trial', 'study_part', 'study_questions']
    || jsonb_build_object('cost_usd_micros', round(e.cost_pusd / 1000000.0)::bigint,
      'budget_usd_micros', round(e.budget_pusd / 1000000.0)::bigint);

-- Changes ------------------------------------------------------------------------------------------------------------

-- What the API shows of a study.
CREATE FUNCTION nodeai.study_shown(s public.studies) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(s) - ARRAY['org_id', 'created_by', 'lease_until', 'lease_token', 'next_at', 'cost_pusd', 'definition',
      'winner_definition', 'items']
    || jsonb_build_object('cost_usd_micros', round(s.cost_pusd / 1000000.0)::bigint, 'questions', cardinality(s.items),
      'retune_at', CASE WHEN s.finished_at IS NOT NULL THEN s.next_at END);
SELECT nodeai.expose('nodeai.study_shown(public.studies)', '{authenticated,service_role}');

-- A study of the organisation, or NA404.
CREATE FUNCTION nodeai.study_of(org uuid, study uuid) RETURNS public.studies
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  s public.studies;
BEGIN
  SELECT * INTO s FROM public.studies x WHERE x.id = study AND x.org_id = org;
  IF s.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN s;
END
$$;
SELECT nodeai.expose('nodeai.study_of(uuid, uuid)', '{authenticated,service_role}');

-- {"id","row": with the workflow's document at its version,"most": questions,"trials": [settings], the workflow as it is first}
CREATE FUNCTION nodeai.do_study_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
  made uuid := (args ->> 'id')::uuid;
  d public.eval_datasets;
  upto integer;
  chosen jsonb;
BEGIN
  SELECT * INTO d FROM public.eval_datasets x WHERE x.id = (given ->> 'dataset_id')::uuid AND x.org_id = org;
  upto := coalesce((given ->> 'dataset_version')::integer, d.version);
  IF d.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF upto > d.version THEN
    RAISE EXCEPTION 'the dataset has no such version' USING ERRCODE = 'NA409';
  ELSIF (SELECT count(*) FROM public.studies x WHERE x.org_id = org AND x.status IN ('queued', 'running')) >= 2 THEN
    RAISE EXCEPTION 'an organisation has at most 2 studies at work' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.require_target(org, (given ->> 'workflow_id')::uuid, (given ->> 'workflow_version')::integer, NULL);
  SELECT jsonb_agg(x.id ORDER BY x.id) INTO chosen FROM (
    SELECT i.id FROM public.eval_items i WHERE i.org_id = org AND i.dataset_id = d.id AND i.dataset_version <= upto
    ORDER BY i.id LIMIT (args ->> 'most')::integer) x;
  IF chosen IS NULL THEN
    RAISE EXCEPTION 'the dataset has no items at this version' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.insert_row('studies', made, org, given || jsonb_build_object('dataset_version', upto, 'items', chosen,
    'trials', jsonb_array_length(args -> 'trials')));
  INSERT INTO public.study_trials (org_id, study_id, number, settings)
    SELECT org, made, t.number, t.settings FROM jsonb_array_elements(args -> 'trials') WITH ORDINALITY t (settings, number);
  RETURN jsonb_build_object('version', 1, 'body', nodeai.study_shown(nodeai.study_of(org, made)),
    'changes', jsonb_build_object('after', nodeai.audit_view(given)));
END
$$;
SELECT nodeai.expose('nodeai.do_study_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id"}: ends one that is at work, its runs hear of it; one that has ended is not repeated any more.
CREATE FUNCTION nodeai.do_study_cancel(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  s public.studies := nodeai.study_of(org, (p #>> '{args,id}')::uuid);
  child uuid;
BEGIN
  -- The row's lock: whoever works on it has ended, or is fenced.
  PERFORM nodeai.change_row('studies', 'update', s.id, org, '{}', NULL);
  s := nodeai.study_of(org, s.id);
  IF s.next_at IS NULL THEN
    RAISE EXCEPTION 'the study has ended' USING ERRCODE = 'NA409';
  ELSIF s.finished_at IS NOT NULL THEN
    PERFORM nodeai.change_row('studies', 'update', s.id, org, '{"next_at":null}', NULL);
  ELSE
    PERFORM nodeai.change_row('studies', 'update', s.id, org,
      jsonb_build_object('status', 'cancelled', 'finished_at', clock_timestamp(), 'next_at', NULL), NULL);
    FOR child IN SELECT e.id FROM public.evaluations e
        WHERE e.study_id = s.id AND e.org_id = org AND e.status IN ('queued', 'running') LOOP
      PERFORM nodeai.do_evaluation_cancel(org, jsonb_build_object('args', jsonb_build_object('id', child)));
    END LOOP;
  END IF;
  s := nodeai.study_of(org, s.id);
  RETURN jsonb_build_object('version', s.version, 'body', nodeai.study_shown(s));
END
$$;
SELECT nodeai.expose('nodeai.do_study_cancel(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?}: with its trials and evaluations; runs, their traces and what was applied stay.
CREATE FUNCTION nodeai.do_study_remove(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  s public.studies := nodeai.study_of(org, (args ->> 'id')::uuid);
BEGIN
  IF s.status IN ('queued', 'running') THEN
    RAISE EXCEPTION 'the study is at work; cancel it first' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.change_row('studies', 'delete', s.id, org, '{}', (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('changes', jsonb_build_object('before', nodeai.audit_view(nodeai.study_shown(s) - 'outcome')));
END
$$;
SELECT nodeai.expose('nodeai.do_study_remove(uuid, jsonb)', '{authenticated,service_role}');

-- Whether the caller may do that in an organisation: by the scopes that admission has given, or by its role where the token is a user's own,
-- which says nothing of scopes.
CREATE FUNCTION nodeai.caller_may(org uuid, wanted text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT CASE WHEN nullif(nodeai.claims() -> 'scopes', 'null') IS NOT NULL THEN nodeai.holds(wanted)
    ELSE EXISTS (SELECT FROM public.organization_members m WHERE m.user_id = auth.uid() AND m.org_id = org
      AND nodeai.scope_covers(nodeai.scopes_of(m.role), wanted)) END
$$;
SELECT nodeai.expose('nodeai.caller_may(uuid, text)', '{authenticated,service_role}');

-- Gives the workflow of a study another document, if its version is still `expected`. Returns the version that this makes.
CREATE FUNCTION nodeai.study_save(s public.studies, expected integer, becomes jsonb, message text) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  IF NOT nodeai.caller_may(s.org_id, 'workflows:write') THEN
    RAISE EXCEPTION 'may not write workflows' USING ERRCODE = 'insufficient_privilege';
  ELSIF NOT EXISTS (SELECT FROM public.workflows w
      WHERE w.id = s.workflow_id AND w.org_id = s.org_id AND w.deleted_at IS NULL AND w.version = expected) THEN
    RAISE EXCEPTION 'the workflow has changed meanwhile' USING ERRCODE = 'NA409';
  END IF;
  RETURN (nodeai.do_save_workflow(s.org_id, jsonb_build_object('args', jsonb_build_object('id', s.workflow_id,
    'row', jsonb_build_object('definition', becomes), 'expect_version', expected,
    'children', jsonb_build_array(jsonb_build_object('table', 'workflow_versions', 'row', jsonb_build_object(
      'workflow_id', s.workflow_id, 'message', message, 'author', auth.uid())))))) ->> 'version')::integer;
END
$$;
SELECT nodeai.expose('nodeai.study_save(public.studies, integer, jsonb, text)', '{authenticated,service_role}');

-- {"id","expect_version"?}: the winner becomes the workflow's next version, if it is still the version that was studied.
CREATE FUNCTION nodeai.do_study_apply(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  s public.studies := nodeai.study_of(org, (args ->> 'id')::uuid);
  made integer;
BEGIN
  PERFORM nodeai.change_row('studies', 'update', s.id, org, '{}', (args ->> 'expect_version')::integer);
  s := nodeai.study_of(org, s.id);
  IF s.status <> 'succeeded' THEN
    RAISE EXCEPTION 'the study has not succeeded' USING ERRCODE = 'NA409';
  ELSIF s.winner_definition IS NULL THEN
    RAISE EXCEPTION 'there is no significant gain to be applied' USING ERRCODE = 'NA409';
  ELSIF s.applied_at IS NOT NULL AND s.rolled_back_at IS NULL THEN
    RAISE EXCEPTION 'it is applied already' USING ERRCODE = 'NA409';
  END IF;
  made := nodeai.study_save(s, coalesce(s.applied_version + 1, s.workflow_version), s.winner_definition,
    left('Parameters of the study ' || s.name, 1000));
  PERFORM nodeai.change_row('studies', 'update', s.id, org, jsonb_build_object('applied_at', clock_timestamp(),
    'applied_version', made, 'rolled_back_at', NULL), NULL);
  s := nodeai.study_of(org, s.id);
  RETURN jsonb_build_object('version', s.version, 'body', nodeai.study_shown(s), 'changes', jsonb_build_object(
    'workflow_id', s.workflow_id, 'workflow_version', made, 'after', s.outcome -> 'settings'));
END
$$;
SELECT nodeai.expose('nodeai.do_study_apply(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?}: the document that was studied becomes the workflow's next version, if nobody has changed it since.
CREATE FUNCTION nodeai.do_study_rollback(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  s public.studies := nodeai.study_of(org, (args ->> 'id')::uuid);
  made integer;
BEGIN
  PERFORM nodeai.change_row('studies', 'update', s.id, org, '{}', (args ->> 'expect_version')::integer);
  s := nodeai.study_of(org, s.id);
  IF s.applied_at IS NULL OR s.rolled_back_at IS NOT NULL THEN
    RAISE EXCEPTION 'it is not applied' USING ERRCODE = 'NA409';
  END IF;
  made := nodeai.study_save(s, s.applied_version, s.definition, left('As before the study ' || s.name, 1000));
  PERFORM nodeai.change_row('studies', 'update', s.id, org, jsonb_build_object('rolled_back_at', clock_timestamp()), NULL);
  s := nodeai.study_of(org, s.id);
  RETURN jsonb_build_object('version', s.version, 'body', nodeai.study_shown(s), 'changes', jsonb_build_object(
    'workflow_id', s.workflow_id, 'workflow_version', made, 'before', s.outcome -> 'settings'));
END
$$;
SELECT nodeai.expose('nodeai.do_study_rollback(uuid, jsonb)', '{authenticated,service_role}');

-- Reads --------------------------------------------------------------------------------------------------------------

-- The document of a workflow at a version, the current one unless given: {"id","org_id","version"?} → {"definition","version"} or null.
CREATE FUNCTION public.study_workflow(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('version', v.number, 'definition', v.definition)
  FROM (
    SELECT w.version AS number, w.definition, w.id, w.version AS current FROM public.workflows w
    WHERE w.id = (p ->> 'id')::uuid AND w.deleted_at IS NULL
      AND w.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid) w
  CROSS JOIN LATERAL (
    SELECT w.number, w.definition WHERE coalesce((p ->> 'version')::integer, w.current) = w.current
    UNION ALL
    SELECT x.number, x.definition FROM public.workflow_versions x
    WHERE x.workflow_id = w.id AND x.number = (p ->> 'version')::integer AND x.number <> w.current) v
$$;
SELECT nodeai.expose('public.study_workflow(jsonb)', '{authenticated,service_role}');

-- {"id","org_id","after"?: place,"limit"} → {"trials": [row]} the best first once that is known, or null.
CREATE FUNCTION public.study_tried(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('trials', (
    SELECT coalesce(jsonb_agg(x.row ORDER BY x.place), '[]') FROM (
      SELECT coalesce(t.rank, t.number) AS place, to_jsonb(t) - ARRAY['org_id', 'study_id'] AS row FROM public.study_trials t
      WHERE t.study_id = s.id AND t.org_id = s.org_id AND coalesce(t.rank, t.number) > coalesce((p ->> 'after')::integer, 0)
      ORDER BY 1 LIMIT (p ->> 'limit')::integer) x))
  FROM public.studies s
  WHERE s.id = (p ->> 'id')::uuid AND s.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.study_tried(jsonb)', '{authenticated,service_role}');

-- The job ------------------------------------------------------------------------------------------------------------

-- What a study has cost so far.
CREATE FUNCTION nodeai.study_spent(s public.studies) RETURNS bigint
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(sum(e.cost_pusd), 0)::bigint FROM public.evaluations e WHERE e.study_id = s.id AND e.org_id = s.org_id
$$;
SELECT nodeai.expose('nodeai.study_spent(public.studies)', '{service_role}');

-- Why nothing can be said of what a study has, or null. An evaluation of which nothing has a score says something about its trial; one that
-- was ended, also by its budget, says nothing: what it has not asked is no zero.
CREATE FUNCTION nodeai.study_broken(s public.studies) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT CASE WHEN nodeai.claims_of_owner(s.org_id, s.owner_id, s.owner_key_id) IS NULL
      THEN '{"kind":"owner_gone","message":"the owner may not run workflows any more"}'::jsonb
    ELSE (SELECT coalesce(nullif(e.error, 'null'), '{"kind":"cancelled","message":"one of its evaluations was cancelled"}')
      FROM public.evaluations e
      WHERE e.study_id = s.id AND e.org_id = s.org_id AND (e.status = 'cancelled'
        OR e.status = 'failed' AND e.error ->> 'kind' <> 'nothing_scored')
      ORDER BY e.id LIMIT 1) END
$$;
SELECT nodeai.expose('nodeai.study_broken(public.studies)', '{service_role}');

-- Why a study may not go on, or null.
CREATE FUNCTION nodeai.study_over(s public.studies) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(nodeai.study_broken(s), CASE
    WHEN nodeai.study_spent(s) >= (s.budget ->> 'usd')::numeric * 1000000000000
      THEN '{"kind":"budget","message":"the study''s budget is spent"}'::jsonb
    WHEN clock_timestamp() >= s.created_at + (s.budget ->> 'minutes')::double precision * interval '1 minute'
      THEN '{"kind":"time","message":"the study took longer than its budget says"}'::jsonb END)
$$;
SELECT nodeai.expose('nodeai.study_over(public.studies)', '{service_role}');

-- When a study that has ended is repeated; null when it is not.
CREATE FUNCTION nodeai.study_again(s public.studies) RETURNS timestamptz LANGUAGE sql STABLE
  RETURN clock_timestamp() + (s.retune ->> 'days')::double precision * interval '1 day';
SELECT nodeai.expose('nodeai.study_again(public.studies)', '{service_role}');

-- Takes up one study of which no evaluation is at work, or that may not go on: {"org_id"?,"lease_us"} → {"study": {…},"evaluated":
-- [{"trial","part","questions": [place],"scores": [[place, score]],"unjudged": [place],"latency_ms"?,"cost_usd"?}]}, or {"repeat": {"id",
-- "org_id","lease_token","definition"?,"workflow_version"?,"parameters","retune"}}, or {"due_us"?}.
CREATE FUNCTION public.studies_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  at timestamptz := clock_timestamp();
  s public.studies;
  w public.workflows;
  evaluated jsonb;
BEGIN
  SELECT * INTO s FROM public.studies x
    WHERE x.next_at <= at AND (x.lease_until IS NULL OR x.lease_until < at) AND (org IS NULL OR x.org_id = org)
      AND (x.finished_at IS NOT NULL OR nodeai.study_over(x) IS NOT NULL OR NOT EXISTS (SELECT FROM public.evaluations e
        WHERE e.study_id = x.id AND e.status IN ('queued', 'running')))
    ORDER BY x.next_at LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF s.id IS NULL THEN
    -- Those that are due by now wait for their evaluations.
    RETURN jsonb_build_object('due_us', CASE WHEN org IS NULL THEN nodeai.to_us((
      SELECT greatest(min(x.next_at), at + interval '1 second') FROM public.studies x WHERE x.next_at IS NOT NULL)) END);
  END IF;
  UPDATE public.studies x SET lease_token = x.lease_token + 1,
      lease_until = at + (p ->> 'lease_us')::bigint * interval '1 microsecond'
    WHERE x.id = s.id RETURNING * INTO s;
  IF s.finished_at IS NOT NULL THEN
    SELECT * INTO w FROM public.workflows x WHERE x.id = s.workflow_id AND x.org_id = s.org_id AND x.deleted_at IS NULL;
    RETURN jsonb_build_object('repeat', jsonb_build_object('id', s.id, 'org_id', s.org_id, 'lease_token', s.lease_token,
      'definition', w.definition, 'workflow_version', w.version, 'parameters', s.parameters, 'retune', s.retune));
  END IF;
  SELECT jsonb_agg(jsonb_build_object('trial', e.study_trial, 'part', e.study_part, 'questions', e.study_questions,
      'scores', r.scores, 'unjudged', r.unjudged, 'latency_ms', r.latency_ms, 'cost_usd', r.cost_usd) ORDER BY e.id)
    INTO evaluated
    FROM public.evaluations e CROSS JOIN LATERAL (
      SELECT coalesce(jsonb_agg(jsonb_build_array(q.place - 1, r.score)) FILTER (WHERE r.metric = e.metrics[1] AND r.score IS NOT NULL),
          '[]') AS scores,
        -- A judge was asked, and did not say; what could not even be asked about is the answer's fault.
        coalesce(jsonb_agg(q.place - 1) FILTER (WHERE r.metric = e.metrics[1] AND r.score IS NULL AND t.item_id IS NOT NULL), '[]')
          AS unjudged,
        avg(r.score) FILTER (WHERE r.metric = 'latency_ms') AS latency_ms,
        avg(r.score) FILTER (WHERE r.metric = 'cost_usd') AS cost_usd
      FROM public.eval_results r
      JOIN unnest(s.items) WITH ORDINALITY q (item, place) ON q.item = r.item_id
      LEFT JOIN public.eval_tasks t ON t.evaluation_id = e.id AND t.item_id = r.item_id AND t.step = r.metric
      WHERE r.evaluation_id = e.id AND r.org_id = e.org_id) r
    WHERE e.study_id = s.id AND e.org_id = s.org_id AND e.status IN ('succeeded', 'failed');
  RETURN jsonb_build_object('study', jsonb_build_object('id', s.id, 'org_id', s.org_id, 'lease_token', s.lease_token,
      'name', s.name, 'definition', s.definition, 'parameters', s.parameters, 'target', s.target, 'settings', s.settings,
      'judge', s.judge, 'seed', s.seed, 'questions', cardinality(s.items)),
    'evaluated', coalesce(evaluated, '[]'));
END
$$;
SELECT nodeai.expose('public.studies_claim(jsonb)', '{service_role}');

-- Ends a study: what its evaluations have come to stays, those that are at work are ended.
CREATE FUNCTION nodeai.end_study(s public.studies, why jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  child public.evaluations;
  run uuid;
BEGIN
  UPDATE public.studies x SET status = 'failed', error = why, cost_pusd = nodeai.study_spent(s), finished_at = clock_timestamp(),
      lease_until = NULL, lease_token = x.lease_token + 1, version = x.version + 1, updated_at = clock_timestamp(),
      next_at = CASE WHEN why ->> 'kind' <> 'owner_gone' THEN nodeai.study_again(s) END
    WHERE x.id = s.id;
  FOR child IN SELECT * FROM public.evaluations e
      WHERE e.study_id = s.id AND e.org_id = s.org_id AND e.status IN ('queued', 'running') FOR UPDATE LOOP
    UPDATE public.evaluations e SET status = 'cancelled', finished_at = clock_timestamp(), lease_until = NULL,
        lease_token = e.lease_token + 1, version = e.version + 1, updated_at = clock_timestamp()
      WHERE e.id = child.id;
    FOR run IN SELECT t.execution_id FROM public.eval_tasks t
        WHERE t.evaluation_id = child.id AND t.state = 'running' AND t.execution_id IS NOT NULL LOOP
      PERFORM public.run_cancel(jsonb_build_object('id', run, 'org_id', s.org_id));
    END LOOP;
  END LOOP;
  IF why ->> 'kind' = 'owner_gone' THEN
    PERFORM nodeai.audit(s.org_id, jsonb_build_object('action', 'study.refused', 'resource_type', 'study', 'resource_id', s.id,
      'details', jsonb_build_object('reason', why -> 'message', 'owner_id', s.owner_id, 'owner_key_id', s.owner_key_id)));
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.end_study(public.studies, jsonb)', '{service_role}');

-- A study whose lease is held, locked; its id is null when it is not.
CREATE FUNCTION nodeai.study_held(p jsonb, ended boolean) RETURNS public.studies
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
  SELECT x.* FROM public.studies x
  WHERE x.id = (p ->> 'id')::uuid AND x.lease_token = (p ->> 'lease_token')::bigint AND (x.finished_at IS NOT NULL) = ended
  FOR UPDATE
$$;
SELECT nodeai.expose('nodeai.study_held(jsonb, boolean)', '{service_role}');

-- Makes evaluations: {"id","lease_token","asks": [{"trial","part","questions": [place],"name","target","metrics","settings","judge"}]} →
-- {"outcome":"stepped|fenced|ended"}.
CREATE FUNCTION public.study_step(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  s public.studies := nodeai.study_held(p, false);
  spent bigint;
  why jsonb;
  ask jsonb;
  made uuid;
BEGIN
  IF s.id IS NULL THEN
    RETURN '{"outcome":"fenced"}';
  END IF;
  why := nodeai.study_over(s);
  IF why IS NOT NULL THEN
    PERFORM nodeai.end_study(s, why);
    RETURN '{"outcome":"ended"}';
  END IF;
  spent := nodeai.study_spent(s);
  FOR ask IN SELECT a FROM jsonb_array_elements(p -> 'asks') a LOOP
    made := nodeai.uuid_v7();
    INSERT INTO public.evaluations (id, org_id, dataset_id, dataset_version, name, target, metrics, settings, judge, items,
        budget_pusd, owner_id, owner_key_id, study_id, study_trial, study_part, study_questions, created_by)
      VALUES (made, s.org_id, s.dataset_id, s.dataset_version, left(ask ->> 'name', 200), ask -> 'target',
        ARRAY(SELECT jsonb_array_elements_text(ask -> 'metrics')), ask -> 'settings', nullif(ask -> 'judge', 'null'),
        jsonb_array_length(ask -> 'questions'), ((s.budget ->> 'usd')::numeric * 1000000000000)::bigint - spent,
        s.owner_id, s.owner_key_id, s.id, (ask ->> 'trial')::integer, ask ->> 'part',
        ARRAY(SELECT q::integer FROM jsonb_array_elements_text(ask -> 'questions') q), s.owner_id);
    INSERT INTO public.eval_tasks (org_id, evaluation_id, item_id, step)
      SELECT s.org_id, made, i.id, 'target' FROM jsonb_array_elements_text(ask -> 'questions') q
      JOIN public.eval_items i ON i.id = s.items[q::integer + 1] AND i.org_id = s.org_id;
  END LOOP;
  UPDATE public.studies x SET status = 'running', started_at = coalesce(x.started_at, clock_timestamp()), cost_pusd = spent,
      lease_until = NULL, next_at = clock_timestamp() + interval '1 second', updated_at = clock_timestamp(),
      progress = (SELECT jsonb_build_object('trials', s.trials, 'evaluations', count(*), 'answers', coalesce(sum(e.items), 0),
          'part', max(e.study_part)) FROM public.evaluations e WHERE e.study_id = s.id)
    WHERE x.id = s.id;
  RETURN '{"outcome":"stepped"}';
END
$$;
SELECT nodeai.expose('public.study_step(jsonb)', '{service_role}');

-- Runs one of a study's changes with its owner's rights; what it is refused comes back as text.
CREATE FUNCTION nodeai.study_as_owner(s public.studies, what text, args jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  before text := current_setting('request.jwt.claims', true);
  before_role text := current_setting('role');
  acting jsonb := nodeai.claims_of_owner(s.org_id, s.owner_id, s.owner_key_id);
  done jsonb;
BEGIN
  BEGIN
    PERFORM set_config('request.jwt.claims', acting::text, true), set_config('role', 'authenticated', true);
    done := CASE what WHEN 'apply' THEN nodeai.do_study_apply(s.org_id, jsonb_build_object('args', args))
      ELSE nodeai.do_eval_from_traces(s.org_id, jsonb_build_object('args', args)) END;
  EXCEPTION WHEN SQLSTATE 'NA404' OR SQLSTATE 'NA409' OR SQLSTATE 'NA412' OR insufficient_privilege THEN
    done := jsonb_build_object('refused', SQLERRM);
  END;
  PERFORM set_config('request.jwt.claims', coalesce(before, ''), true), set_config('role', before_role, true);
  RETURN done;
END
$$;
SELECT nodeai.expose('nodeai.study_as_owner(public.studies, text, jsonb)', '{service_role}');

-- Ends a study of which all evaluations have ended: {"id","lease_token","outcome"?,"trials": [{"number","rank","scores","latency_us"?,
-- "cost_pusd"}],"definition"?: the workflow as the winner has it,"error"?} → {"outcome":"finished|fenced|ended"}.
CREATE FUNCTION public.study_finish(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  s public.studies := nodeai.study_held(p, false);
  why jsonb;
  applied jsonb;
BEGIN
  IF s.id IS NULL OR EXISTS (SELECT FROM public.evaluations e WHERE e.study_id = s.id AND e.status IN ('queued', 'running')) THEN
    RETURN '{"outcome":"fenced"}';
  END IF;
  -- With all scores there, nothing more is spent.
  why := coalesce(nullif(p -> 'error', 'null'), nodeai.study_broken(s));
  UPDATE public.study_trials t SET rank = x.rank, scores = x.scores, latency_us = x.latency_us, cost_pusd = x.cost_pusd
    FROM jsonb_populate_recordset(NULL::public.study_trials, p -> 'trials') x
    WHERE t.study_id = s.id AND t.number = x.number;
  IF why IS NOT NULL THEN
    PERFORM nodeai.end_study(s, why);
    RETURN '{"outcome":"ended"}';
  END IF;
  UPDATE public.studies x SET status = 'succeeded', outcome = p -> 'outcome', winner_definition = nullif(p -> 'definition', 'null'),
      cost_pusd = nodeai.study_spent(s), finished_at = clock_timestamp(), lease_until = NULL, version = x.version + 1,
      updated_at = clock_timestamp(), next_at = nodeai.study_again(s)
    WHERE x.id = s.id;
  IF (s.retune ->> 'apply')::boolean AND nullif(p -> 'definition', 'null') IS NOT NULL THEN
    applied := nodeai.study_as_owner(s, 'apply', jsonb_build_object('id', s.id));
    UPDATE public.studies x SET outcome = x.outcome || jsonb_build_object('not_applied', applied -> 'refused')
      WHERE x.id = s.id AND applied ? 'refused';
  END IF;
  RETURN '{"outcome":"finished"}';
END
$$;
SELECT nodeai.expose('public.study_finish(jsonb)', '{service_role}');

-- Begins the next study of one that repeats, over the questions that production has asked meanwhile: {"id","lease_token","definition",
-- "workflow_version","trials": [settings],"question": path,"expected"?: path,"error"?: why it cannot be} → {"outcome":"stepped|fenced|ended"}. Until there are enough
-- questions for a verdict, it waits another day.
CREATE FUNCTION public.study_repeat(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  s public.studies := nodeai.study_held(p, true);
  fewest constant integer := 20;
  chosen uuid[];
  made uuid := nodeai.uuid_v7();
BEGIN
  IF s.id IS NULL THEN
    RETURN '{"outcome":"fenced"}';
  ELSIF p ->> 'error' IS NOT NULL OR nodeai.claims_of_owner(s.org_id, s.owner_id, s.owner_key_id) IS NULL THEN
    UPDATE public.studies x SET next_at = NULL, lease_until = NULL, updated_at = clock_timestamp(),
        error = coalesce(x.error, jsonb_build_object('kind', 'not_repeated',
          'message', coalesce(p ->> 'error', 'the owner may not run workflows any more')))
      WHERE x.id = s.id;
    RETURN '{"outcome":"ended"}';
  END IF;
  PERFORM nodeai.study_as_owner(s, 'questions', jsonb_build_object('dataset_id', s.dataset_id, 'workflow_id', s.workflow_id,
    'from_us', nodeai.to_us(s.created_at), 'question', p -> 'question', 'expected', p -> 'expected',
    'limit', s.retune -> 'most'));
  SELECT array_agg(x.id ORDER BY x.id) INTO chosen FROM (
    SELECT i.id FROM public.eval_items i WHERE i.org_id = s.org_id AND i.dataset_id = s.dataset_id
      AND i.source_trace_id IS NOT NULL AND i.created_at >= s.created_at
      -- What evaluations ask is not production.
      AND NOT EXISTS (SELECT FROM public.traces t JOIN public.execution_queue q ON q.id = t.execution_id AND q.org_id = t.org_id
        WHERE t.org_id = s.org_id AND t.trace_id = i.source_trace_id AND t.day >= (s.created_at AT TIME ZONE 'UTC')::date
          AND q.concurrency_key ~ '^(evaluation|experiment|synthesis)/')
    ORDER BY i.id DESC LIMIT (s.retune ->> 'most')::integer) x;
  IF coalesce(cardinality(chosen), 0) < fewest THEN
    UPDATE public.studies x SET next_at = clock_timestamp() + interval '1 day', lease_until = NULL WHERE x.id = s.id;
    RETURN '{"outcome":"stepped"}';
  END IF;
  INSERT INTO public.studies (id, org_id, workflow_id, workflow_version, definition, dataset_id, dataset_version, name, parameters,
      target, settings, judge, budget, seed, items, trials, retune, repeats, owner_id, owner_key_id, created_by)
    SELECT made, s.org_id, s.workflow_id, (p ->> 'workflow_version')::integer, p -> 'definition', s.dataset_id, d.version, s.name,
      s.parameters, s.target, s.settings, s.judge, s.budget, s.seed, chosen, jsonb_array_length(p -> 'trials'), s.retune, s.id,
      s.owner_id, s.owner_key_id, s.owner_id
    FROM public.eval_datasets d WHERE d.id = s.dataset_id;
  INSERT INTO public.study_trials (org_id, study_id, number, settings)
    SELECT s.org_id, made, t.number, t.settings FROM jsonb_array_elements(p -> 'trials') WITH ORDINALITY t (settings, number);
  UPDATE public.studies x SET next_at = NULL, lease_until = NULL, updated_at = clock_timestamp() WHERE x.id = s.id;
  RETURN '{"outcome":"stepped"}';
END
$$;
SELECT nodeai.expose('public.study_repeat(jsonb)', '{service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['study_workflow', 'study_tried', 'studies_claim', 'study_step', 'study_finish', 'study_repeat']) fn;
