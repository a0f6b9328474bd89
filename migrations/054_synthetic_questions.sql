-- Synthetic questions: a job asks a model for questions that chunks of a knowledge base answer. Like an evaluation it makes no call of its
-- own: it queues runs with its owner's rights, and what they come to becomes one version of a dataset at the end.

CREATE TABLE public.eval_syntheses (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT eval_syntheses_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  dataset_id uuid NOT NULL CONSTRAINT eval_syntheses_dataset REFERENCES public.eval_datasets (id) ON DELETE CASCADE,
  knowledge_base_id uuid NOT NULL CONSTRAINT eval_syntheses_knowledge_base REFERENCES public.knowledge_bases (id) ON DELETE CASCADE,
  index_version integer NOT NULL,
  status text NOT NULL DEFAULT 'queued'
    CONSTRAINT eval_syntheses_status CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  -- {"questions": of a chunk,"relevant": "document|chunk","instructions"?,"allow_unpriced"}
  settings jsonb NOT NULL,
  judge jsonb NOT NULL,
  questions integer NOT NULL CONSTRAINT eval_syntheses_questions CHECK (questions BETWEEN 1 AND 5000),
  chunks integer NOT NULL DEFAULT 0,
  budget_pusd bigint CONSTRAINT eval_syntheses_budget CHECK (budget_pusd > 0),
  cost_pusd bigint NOT NULL DEFAULT 0,
  progress jsonb NOT NULL DEFAULT '{}',
  -- What it came to: {"added","duplicates","unsupported","failed","dataset_version"}.
  outcome jsonb,
  error jsonb,
  owner_id uuid,
  owner_key_id uuid,
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  next_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  finished_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX eval_syntheses_org_idx ON public.eval_syntheses (org_id, id DESC);
CREATE INDEX eval_syntheses_dataset_idx ON public.eval_syntheses (dataset_id, id DESC);
CREATE INDEX eval_syntheses_base_idx ON public.eval_syntheses (knowledge_base_id);
CREATE INDEX eval_syntheses_open_idx ON public.eval_syntheses (next_at, id) WHERE status IN ('queued', 'running');
SELECT nodeai.tenant_table('public.eval_syntheses');
SELECT nodeai.belongs_to('public.eval_syntheses', 'eval_datasets', 'dataset_id');
SELECT nodeai.belongs_to('public.eval_syntheses', 'knowledge_bases', 'knowledge_base_id');
SELECT nodeai.allow_write('eval_syntheses',
  '{dataset_id,knowledge_base_id,index_version,settings,judge,questions,chunks,budget_pusd}', '{status,finished_at}', false);

-- A chunk that is asked about. Chunks come and go: there is no reference.
CREATE TABLE public.eval_synthesis_chunks (
  org_id uuid NOT NULL,
  synthesis_id uuid NOT NULL CONSTRAINT eval_synthesis_chunks_synthesis REFERENCES public.eval_syntheses (id) ON DELETE CASCADE,
  number integer NOT NULL,
  chunk_id uuid NOT NULL,
  document_id uuid NOT NULL,
  state text NOT NULL DEFAULT 'pending'
    CONSTRAINT eval_synthesis_chunks_state CHECK (state IN ('pending', 'running', 'done')),
  execution_id uuid,
  -- [{"question","answer","quote"}]
  made jsonb,
  -- Questions whose quote is not in the chunk.
  unsupported integer NOT NULL DEFAULT 0,
  error text,
  PRIMARY KEY (synthesis_id, number)
);
CREATE INDEX eval_synthesis_chunks_open_idx ON public.eval_synthesis_chunks (synthesis_id, state, number) WHERE state <> 'done';
CREATE INDEX eval_synthesis_chunks_org_idx ON public.eval_synthesis_chunks (org_id);
SELECT nodeai.tenant_table('public.eval_synthesis_chunks', 'viewer', 'editor', 'SELECT, INSERT');
SELECT nodeai.belongs_to('public.eval_synthesis_chunks', 'eval_syntheses', 'synthesis_id');

-- Whoever makes one is who its runs act as; one who could not search the base themselves is refused.
CREATE TRIGGER own_synthesis BEFORE INSERT ON public.eval_syntheses FOR EACH ROW EXECUTE FUNCTION nodeai.own_experiment();

-- What makes two questions the same: their words, without marks and capitals.
CREATE FUNCTION nodeai.question_key(question text) RETURNS text LANGUAGE sql IMMUTABLE
  RETURN btrim(regexp_replace(translate(lower(question), '.,;:!?"''()[]{}', ''), '\s+', ' ', 'g'));
SELECT nodeai.expose('nodeai.question_key(text)', '{authenticated,service_role}');

-- What the API shows of a synthesis.
CREATE FUNCTION nodeai.synthesis_shown(s public.eval_syntheses) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(s) - ARRAY['org_id', 'created_by', 'lease_until', 'lease_token', 'next_at', 'cost_pusd', 'budget_pusd', 'index_version']
    || jsonb_build_object('cost_usd_micros', round(s.cost_pusd / 1000000.0)::bigint,
      'budget_usd_micros', round(s.budget_pusd / 1000000.0)::bigint);
SELECT nodeai.expose('nodeai.synthesis_shown(public.eval_syntheses)', '{authenticated,service_role}');

-- {"id","row","per_chunk","filter": metadata of documents,"seed"}: chunks by a draw that is the same for a seed, of as many documents as
-- can be.
CREATE FUNCTION nodeai.do_synthesis_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
  made uuid := (args ->> 'id')::uuid;
  wanted integer := ceil((given ->> 'questions')::numeric / (args ->> 'per_chunk')::integer);
  k public.knowledge_bases;
  s public.eval_syntheses;
  chosen uuid[];
  documents uuid[];
BEGIN
  SELECT * INTO k FROM public.knowledge_bases x WHERE x.id = (given ->> 'knowledge_base_id')::uuid AND x.org_id = org;
  IF k.id IS NULL OR NOT EXISTS (SELECT FROM public.eval_datasets d WHERE d.id = (given ->> 'dataset_id')::uuid AND d.org_id = org) THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF (SELECT count(*) FROM public.eval_syntheses x WHERE x.org_id = org AND x.status IN ('queued', 'running')) >= 5 THEN
    RAISE EXCEPTION 'an organisation has at most 5 syntheses at work' USING ERRCODE = 'NA409';
  END IF;
  SELECT array_agg(x.id ORDER BY x.turn, x.draw), array_agg(x.document_id ORDER BY x.turn, x.draw) INTO chosen, documents FROM (
    SELECT y.*, row_number() OVER (PARTITION BY y.document_id ORDER BY y.draw) AS turn FROM (
      SELECT c.id, c.document_id, md5((args ->> 'seed') || c.content_hash || c.number) AS draw FROM public.chunks c
      JOIN public.documents d ON d.id = c.document_id AND d.org_id = org
      WHERE c.org_id = org AND c.knowledge_base_id = k.id AND c.index_version = k.active_index
        AND d.metadata @> coalesce(nullif(args -> 'filter', 'null'), '{}')
        -- A heading alone answers nothing.
        AND char_length(c.content) >= 40) y
    ORDER BY turn, y.draw LIMIT wanted) x;
  IF chosen IS NULL THEN
    RAISE EXCEPTION 'the knowledge base has no chunks that fit' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.insert_row('eval_syntheses', made, org,
    given || jsonb_build_object('index_version', k.active_index, 'chunks', cardinality(chosen)));
  INSERT INTO public.eval_synthesis_chunks (org_id, synthesis_id, number, chunk_id, document_id)
    SELECT org, made, c.at, c.chunk, c.document FROM unnest(chosen, documents) WITH ORDINALITY c (chunk, document, at);
  SELECT * INTO s FROM public.eval_syntheses x WHERE x.id = made AND x.org_id = org;
  RETURN jsonb_build_object('version', 1, 'body', nodeai.synthesis_shown(s),
    'changes', jsonb_build_object('after', nodeai.audit_view(given)));
END
$$;
SELECT nodeai.expose('nodeai.do_synthesis_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id"}: runs that are at work hear of it; no question comes into the dataset.
CREATE FUNCTION nodeai.do_synthesis_cancel(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  wanted uuid := (p #>> '{args,id}')::uuid;
  s public.eval_syntheses;
  run uuid;
BEGIN
  -- The row's lock: whoever works on it has ended, or is fenced.
  PERFORM nodeai.change_row('eval_syntheses', 'update', wanted, org, '{}', NULL);
  SELECT * INTO s FROM public.eval_syntheses x WHERE x.id = wanted AND x.org_id = org;
  IF s.status NOT IN ('queued', 'running') THEN
    RAISE EXCEPTION 'the synthesis has ended' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.change_row('eval_syntheses', 'update', s.id, org,
    jsonb_build_object('status', 'cancelled', 'finished_at', clock_timestamp()), NULL);
  FOR run IN SELECT c.execution_id FROM public.eval_synthesis_chunks c
      WHERE c.synthesis_id = s.id AND c.org_id = org AND c.state = 'running' AND c.execution_id IS NOT NULL LOOP
    PERFORM public.run_cancel(jsonb_build_object('id', run, 'org_id', org));
  END LOOP;
  SELECT * INTO s FROM public.eval_syntheses x WHERE x.id = s.id AND x.org_id = org;
  RETURN jsonb_build_object('version', s.version, 'body', nodeai.synthesis_shown(s));
END
$$;
SELECT nodeai.expose('nodeai.do_synthesis_cancel(uuid, jsonb)', '{authenticated,service_role}');

-- The job -----------------------------------------------------------------------------------------------------------------

-- Takes up one synthesis: {"org_id"?,"lease_us"} → {"synthesis": {"id","org_id","lease_token","settings","judge"},"ended": [{"number","run",
-- "content"}],"waiting": [{"number","title","content"}]} or {"due_us"?}.
CREATE FUNCTION public.eval_syntheses_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  at timestamptz := clock_timestamp();
  s public.eval_syntheses;
  ended jsonb;
  waiting jsonb;
  busy integer;
BEGIN
  SELECT * INTO s FROM public.eval_syntheses x
    WHERE x.status IN ('queued', 'running') AND x.next_at <= at AND (x.lease_until IS NULL OR x.lease_until < at)
      AND (org IS NULL OR x.org_id = org)
    ORDER BY x.next_at LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF s.id IS NULL THEN
    RETURN jsonb_build_object('due_us', CASE WHEN org IS NULL THEN nodeai.to_us((
      SELECT min(x.next_at) FROM public.eval_syntheses x WHERE x.status IN ('queued', 'running'))) END);
  END IF;
  UPDATE public.eval_syntheses x SET lease_token = x.lease_token + 1,
      lease_until = at + (p ->> 'lease_us')::bigint * interval '1 microsecond'
    WHERE x.id = s.id RETURNING * INTO s;
  SELECT jsonb_agg(jsonb_build_object('number', x.number, 'run', x.run, 'content', x.content) ORDER BY x.number) INTO ended FROM (
    SELECT c.number, r.run, t.content FROM public.eval_synthesis_chunks c
    CROSS JOIN LATERAL (SELECT nodeai.run_ended(s.org_id, c.execution_id) AS run) r
    LEFT JOIN public.chunks t ON t.id = c.chunk_id AND t.org_id = s.org_id
    WHERE c.synthesis_id = s.id AND c.org_id = s.org_id AND c.state = 'running' AND r.run IS NOT NULL ORDER BY c.number LIMIT 10) x;
  SELECT count(*) INTO busy FROM public.eval_synthesis_chunks c
    WHERE c.synthesis_id = s.id AND c.org_id = s.org_id AND c.state = 'running';
  SELECT jsonb_agg(jsonb_build_object('number', x.number, 'title', x.title, 'content', x.content) ORDER BY x.number) INTO waiting FROM (
    SELECT c.number, d.title, t.content FROM public.eval_synthesis_chunks c
    LEFT JOIN public.chunks t ON t.id = c.chunk_id AND t.org_id = s.org_id
    LEFT JOIN public.documents d ON d.id = c.document_id AND d.org_id = s.org_id
    WHERE c.synthesis_id = s.id AND c.org_id = s.org_id AND c.state = 'pending' ORDER BY c.number
    LIMIT greatest(8 - busy + coalesce(jsonb_array_length(ended), 0), 0)) x;
  RETURN jsonb_build_object('synthesis', jsonb_build_object('id', s.id, 'org_id', s.org_id, 'lease_token', s.lease_token,
      'settings', s.settings, 'judge', s.judge),
    'ended', coalesce(ended, '[]'), 'waiting', coalesce(waiting, '[]'));
END
$$;
SELECT nodeai.expose('public.eval_syntheses_claim(jsonb)', '{service_role}');

-- Questions that were made come into the dataset as one version, each once, and none that it has; the first of equals stays.
CREATE FUNCTION nodeai.finish_synthesis(s public.eval_syntheses, why jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  next integer;
  added integer := 0;
  asked_in_all integer;
  full_of integer;
BEGIN
  SELECT coalesce(sum(jsonb_array_length(c.made)), 0) INTO asked_in_all FROM public.eval_synthesis_chunks c
    WHERE c.synthesis_id = s.id AND c.org_id = s.org_id AND c.made IS NOT NULL;
  IF asked_in_all > 0 THEN
    -- The row's lock lets one import in at a time.
    UPDATE public.eval_datasets d SET version = d.version + 1, updated_at = clock_timestamp()
      WHERE d.id = s.dataset_id AND d.org_id = s.org_id RETURNING d.version INTO next;
    SELECT count(*) INTO full_of FROM public.eval_items i WHERE i.dataset_id = s.dataset_id AND i.org_id = s.org_id;
    WITH asked AS (
      SELECT DISTINCT ON (x.key) x.* FROM (
        SELECT c.number, q.at, c.chunk_id, c.document_id, q.one, nodeai.question_key(q.one ->> 'question') AS key
        FROM public.eval_synthesis_chunks c CROSS JOIN LATERAL jsonb_array_elements(c.made) WITH ORDINALITY q(one, at)
        WHERE c.synthesis_id = s.id AND c.org_id = s.org_id) x
      WHERE x.key NOT IN (SELECT nodeai.question_key(i.question #>> '{}') FROM public.eval_items i
        WHERE i.dataset_id = s.dataset_id AND i.org_id = s.org_id AND jsonb_typeof(i.question) = 'string')
      ORDER BY x.key, x.number, x.at
    ), chosen AS (
      SELECT * FROM asked ORDER BY number, at LIMIT least(s.questions, greatest(50000 - full_of, 0))
    ), items AS (
      INSERT INTO public.eval_items (id, org_id, dataset_id, dataset_version, question, expected, relevant, metadata, created_by)
        SELECT nodeai.uuid_v7(), s.org_id, s.dataset_id, next, c.one -> 'question', c.one -> 'answer',
          jsonb_build_array(CASE s.settings ->> 'relevant' WHEN 'chunk' THEN c.chunk_id ELSE c.document_id END),
          jsonb_build_object('synthesis_id', s.id, 'knowledge_base_id', s.knowledge_base_id, 'document_id', c.document_id,
            'chunk_id', c.chunk_id, 'quote', c.one -> 'quote'), s.owner_id
        FROM chosen c ORDER BY c.number, c.at
      RETURNING 1)
    SELECT count(*) INTO added FROM items;
  END IF;
  UPDATE public.eval_syntheses x SET
      status = CASE WHEN why IS NULL AND added > 0 THEN 'succeeded' ELSE 'failed' END,
      error = coalesce(why, CASE WHEN added = 0 THEN
        '{"kind":"nothing_added","message":"no question is new and has a quote from its chunk; see outcome"}'::jsonb END),
      outcome = (SELECT jsonb_build_object('added', added, 'duplicates', asked_in_all - added, 'unsupported', sum(c.unsupported),
          'failed', count(c.error), 'dataset_version', CASE WHEN added > 0 THEN next END,
          'reason', min(c.error))
        FROM public.eval_synthesis_chunks c WHERE c.synthesis_id = s.id AND c.org_id = s.org_id),
      cost_pusd = s.cost_pusd, finished_at = clock_timestamp(), lease_until = NULL, lease_token = x.lease_token + 1,
      version = x.version + 1, updated_at = clock_timestamp()
    WHERE x.id = s.id;
END
$$;
SELECT nodeai.expose('nodeai.finish_synthesis(public.eval_syntheses, jsonb)', '{service_role}');

-- Stores what ended runs have made, and queues the next: {"id","lease_token","ended": [{"number","cost_pusd","made"?,"unsupported",
-- "error"?}],"runs": [{"number","definition","inputs"}]} → {"outcome":"stepped|fenced|ended"}. With nothing open it ends. A budget that is
-- spent ends it too, with the questions that there are.
CREATE FUNCTION public.eval_synthesis_step(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  s public.eval_syntheses;
  acting jsonb;
  done jsonb;
  run jsonb;
  started jsonb;
  key text;
  why jsonb;
  moved boolean := jsonb_array_length(p -> 'ended') > 0;
  remaining bigint;
BEGIN
  SELECT * INTO s FROM public.eval_syntheses x
    WHERE x.id = (p ->> 'id')::uuid AND x.status IN ('queued', 'running') AND x.lease_token = (p ->> 'lease_token')::bigint
    FOR UPDATE;
  IF s.id IS NULL THEN
    RETURN '{"outcome":"fenced"}';
  END IF;
  FOR done IN SELECT d FROM jsonb_array_elements(p -> 'ended') d LOOP
    UPDATE public.eval_synthesis_chunks c SET state = 'done', made = nullif(done -> 'made', 'null'), error = left(done ->> 'error', 500),
        unsupported = coalesce((done ->> 'unsupported')::integer, 0)
      WHERE c.synthesis_id = s.id AND c.number = (done ->> 'number')::integer AND c.state <> 'done';
    -- Said twice, as after an answer that was lost, it costs once.
    IF FOUND THEN
      s.cost_pusd := s.cost_pusd + (done ->> 'cost_pusd')::bigint;
    END IF;
  END LOOP;
  acting := nodeai.claims_of_searcher(s.org_id, s.owner_id, s.owner_key_id);
  IF acting IS NULL THEN
    why := '{"kind":"owner_gone","message":"the owner may not run workflows and search any more"}';
    PERFORM nodeai.audit(s.org_id, jsonb_build_object('action', 'synthesis.refused', 'resource_type', 'synthesis',
      'resource_id', s.id, 'details', jsonb_build_object('reason', why -> 'message', 'owner_id', s.owner_id,
        'owner_key_id', s.owner_key_id)));
  END IF;
  FOR run IN SELECT r FROM jsonb_array_elements(p -> 'runs') r WHERE why IS NULL LOOP
    CONTINUE WHEN NOT EXISTS (SELECT FROM public.eval_synthesis_chunks c WHERE c.synthesis_id = s.id
      AND c.number = (run ->> 'number')::integer AND c.state = 'pending');
    IF s.cost_pusd >= s.budget_pusd THEN
      why := '{"kind":"budget","message":"the budget is spent; the questions that there are were added"}';
      EXIT;
    END IF;
    key := 'synthesis/' || s.id || '/' || (run ->> 'number');
    started := nodeai.start_as(acting, 'run_start', jsonb_build_object('id', nodeai.uuid_v7(), 'org_id', s.org_id,
        'definition', run -> 'definition', 'inputs', run -> 'inputs',
        'trace_id', replace(gen_random_uuid()::text, '-', ''),
        'span_id', substr(replace(gen_random_uuid()::text, '-', ''), 1, 16), 'priority', -10,
        'concurrency_key', 'synthesis/' || s.id, 'concurrency_limit', 4,
        'budget', jsonb_build_object('pusd', s.budget_pusd - s.cost_pusd, 'tokens', NULL, 'refuse_unpriced',
          s.budget_pusd IS NOT NULL AND NOT coalesce((s.settings ->> 'allow_unpriced')::boolean, false))),
      jsonb_build_object('key', key, 'request_hash', key));
    moved := true;
    IF started ->> 'outcome' IN ('started', 'replayed') THEN
      UPDATE public.eval_synthesis_chunks c SET state = 'running', execution_id = (started #>> '{execution,id}')::uuid
        WHERE c.synthesis_id = s.id AND c.number = (run ->> 'number')::integer;
    ELSE
      UPDATE public.eval_synthesis_chunks c SET state = 'done', error = nodeai.evaluation_reason(started ->> 'outcome')
        WHERE c.synthesis_id = s.id AND c.number = (run ->> 'number')::integer;
    END IF;
  END LOOP;
  IF why ->> 'kind' = 'budget' THEN
    -- What is at work is paid for and is waited for.
    UPDATE public.eval_synthesis_chunks c SET state = 'done', error = why ->> 'message'
      WHERE c.synthesis_id = s.id AND c.state = 'pending';
  ELSIF why IS NOT NULL THEN
    FOR run IN SELECT to_jsonb(c.execution_id) FROM public.eval_synthesis_chunks c
        WHERE c.synthesis_id = s.id AND c.org_id = s.org_id AND c.state = 'running' AND c.execution_id IS NOT NULL LOOP
      PERFORM public.run_cancel(jsonb_build_object('id', run, 'org_id', s.org_id));
    END LOOP;
    UPDATE public.eval_synthesis_chunks c SET state = 'done', error = why ->> 'message'
      WHERE c.synthesis_id = s.id AND c.state <> 'done';
  END IF;
  SELECT count(*) INTO remaining FROM public.eval_synthesis_chunks c WHERE c.synthesis_id = s.id AND c.state <> 'done';
  UPDATE public.eval_syntheses x SET status = 'running', started_at = coalesce(x.started_at, clock_timestamp()),
      cost_pusd = s.cost_pusd, lease_until = NULL, updated_at = clock_timestamp(), error = coalesce(x.error, why),
      -- What waits for runs is looked at once a second.
      next_at = clock_timestamp() + CASE WHEN moved THEN interval '0' ELSE interval '1 second' END,
      progress = (SELECT jsonb_build_object('chunks', s.chunks, 'asked', count(*) FILTER (WHERE c.state = 'done'),
          'made', coalesce(sum(jsonb_array_length(c.made)), 0), 'failed', count(c.error))
        FROM public.eval_synthesis_chunks c WHERE c.synthesis_id = s.id)
    WHERE x.id = s.id RETURNING x.error INTO why;
  IF remaining > 0 THEN
    RETURN '{"outcome":"stepped"}';
  END IF;
  PERFORM nodeai.finish_synthesis(s, why);
  RETURN '{"outcome":"ended"}';
END
$$;
SELECT nodeai.expose('public.eval_synthesis_step(jsonb)', '{service_role}');

-- Takes up whatever is due: an evaluation, a rule, a synthesis, as their own functions say it; or {"due_us"?}.
CREATE FUNCTION public.evaluation_work(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  evaluations jsonb := public.evaluations_claim(p);
  rules jsonb;
  syntheses jsonb;
BEGIN
  IF evaluations ? 'evaluation' THEN
    RETURN evaluations;
  END IF;
  rules := public.eval_rules_claim(p);
  IF rules ? 'rule' THEN
    RETURN rules;
  END IF;
  syntheses := public.eval_syntheses_claim(p);
  IF syntheses ? 'synthesis' THEN
    RETURN syntheses;
  END IF;
  RETURN jsonb_build_object('due_us', least((evaluations ->> 'due_us')::bigint, (rules ->> 'due_us')::bigint,
    (syntheses ->> 'due_us')::bigint));
END
$$;
SELECT nodeai.expose('public.evaluation_work(jsonb)', '{service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['eval_syntheses_claim', 'eval_synthesis_step', 'evaluation_work']) fn;
