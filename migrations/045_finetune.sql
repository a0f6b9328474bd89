-- Fine-tuning: jobs that a provider runs. A row is there before the provider is asked; what the provider says comes by the service.

ALTER TABLE public.finetune_jobs
  ADD COLUMN name text CONSTRAINT finetune_jobs_name_length CHECK (char_length(name) <= 200),
  ADD COLUMN base_url text CONSTRAINT finetune_jobs_base_url_length CHECK (char_length(base_url) BETWEEN 1 AND 2000),
  ADD COLUMN key_secret text CONSTRAINT finetune_jobs_key_secret_length CHECK (char_length(key_secret) BETWEEN 1 AND 100),
  ADD COLUMN examples integer,
  ADD COLUMN validation_examples integer,
  ADD COLUMN tokens bigint,
  ADD COLUMN trained_tokens bigint,
  ADD COLUMN training_file text,
  ADD COLUMN validation_file text,
  -- The request's Idempotency-Key: a job is paid for once.
  ADD COLUMN request_key text CONSTRAINT finetune_jobs_request_key_length CHECK (char_length(request_key) BETWEEN 1 AND 255),
  ADD COLUMN request_hash text;
CREATE UNIQUE INDEX finetune_jobs_request_unique ON public.finetune_jobs (org_id, created_by, request_key)
  WHERE request_key IS NOT NULL;

-- Where a job stands is said by its provider.
REVOKE INSERT (provider_job_id, status), UPDATE (provider_job_id, result_model, status, metrics, error, finished_at)
  ON public.finetune_jobs FROM authenticated;
UPDATE nodeai.writable_tables SET
    insertable = '{provider,base_model,file_id,settings,estimated_cost_pusd,name,base_url,key_secret,examples,validation_examples,tokens,request_key,request_hash,status}',
    updatable = '{name}'
  WHERE table_name = 'finetune_jobs';
GRANT INSERT (name, base_url, key_secret, examples, validation_examples, tokens, request_key, request_hash, status),
  UPDATE (name) ON public.finetune_jobs TO authenticated;

-- What the API shows of a job.
CREATE FUNCTION nodeai.finetune_shown(j public.finetune_jobs) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(j) - ARRAY['org_id', 'created_by', 'request_key', 'request_hash'];
SELECT nodeai.expose('nodeai.finetune_shown(public.finetune_jobs)', '{authenticated,service_role}');

-- {"id","row"} → the job. Of requests with the same key that come at once one makes it.
CREATE FUNCTION nodeai.do_finetune_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
  j public.finetune_jobs;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('finetune/' || org, 0));
  IF EXISTS (SELECT FROM public.finetune_jobs x
      WHERE x.org_id = org AND x.created_by = auth.uid() AND x.request_key = given ->> 'request_key') THEN
    RAISE EXCEPTION 'the first request with this Idempotency-Key is at work' USING ERRCODE = 'NA409';
  END IF;
  IF (SELECT count(*) FROM public.finetune_jobs x WHERE x.org_id = org
      AND x.status IN ('checking', 'queued', 'running', 'paused')) >= 20 THEN
    RAISE EXCEPTION 'an organisation has at most 20 fine-tuning jobs at work' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.insert_row('finetune_jobs', (args ->> 'id')::uuid, org, given || '{"status":"checking"}');
  SELECT * INTO j FROM public.finetune_jobs x WHERE x.id = (args ->> 'id')::uuid AND x.org_id = org;
  RETURN jsonb_build_object('version', 1, 'body', nodeai.finetune_shown(j),
    'changes', jsonb_build_object('after', nodeai.audit_view(given - 'request_key' - 'request_hash')));
END
$$;
SELECT nodeai.expose('nodeai.do_finetune_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?}: a job that has ended, or that no provider has.
CREATE FUNCTION nodeai.do_finetune_remove(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  j public.finetune_jobs;
BEGIN
  SELECT * INTO j FROM public.finetune_jobs x WHERE x.id = (args ->> 'id')::uuid AND x.org_id = org;
  IF j.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF j.status IN ('queued', 'running', 'paused') OR j.status = 'checking' AND j.provider_job_id IS NOT NULL THEN
    RAISE EXCEPTION 'the job is at work; cancel it first' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.change_row('finetune_jobs', 'delete', j.id, org, '{}', (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('changes', jsonb_build_object('before', nodeai.audit_view(nodeai.finetune_shown(j))));
END
$$;
SELECT nodeai.expose('nodeai.do_finetune_remove(uuid, jsonb)', '{authenticated,service_role}');

-- What a provider says of a job: {"id","org_id","provider_job_id"?,"training_file"?,"validation_file"?,"status"?,"result_model"?,
-- "error"?,"trained_tokens"?,"metrics"?} → the job, or null. An end is final.
CREATE FUNCTION public.finetune_seen(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  j public.finetune_jobs;
BEGIN
  UPDATE public.finetune_jobs x SET
      provider_job_id = coalesce(p ->> 'provider_job_id', x.provider_job_id),
      training_file = coalesce(p ->> 'training_file', x.training_file),
      validation_file = coalesce(p ->> 'validation_file', x.validation_file),
      status = coalesce(p ->> 'status', x.status), result_model = coalesce(p ->> 'result_model', x.result_model),
      error = coalesce(nullif(p -> 'error', 'null'), x.error),
      trained_tokens = coalesce((p ->> 'trained_tokens')::bigint, x.trained_tokens),
      metrics = coalesce(nullif(p -> 'metrics', 'null'), x.metrics),
      finished_at = CASE WHEN p ->> 'status' IN ('succeeded', 'failed', 'cancelled') THEN clock_timestamp() END,
      version = x.version + 1, updated_at = clock_timestamp()
    WHERE x.id = (p ->> 'id')::uuid AND x.org_id = (p ->> 'org_id')::uuid
      AND x.status IN ('checking', 'queued', 'running', 'paused')
      AND (p ->> 'status' IS DISTINCT FROM x.status OR p ->> 'provider_job_id' IS DISTINCT FROM x.provider_job_id
        OR coalesce(nullif(p -> 'metrics', 'null'), x.metrics) IS DISTINCT FROM x.metrics);
  SELECT * INTO j FROM public.finetune_jobs x WHERE x.id = (p ->> 'id')::uuid AND x.org_id = (p ->> 'org_id')::uuid;
  RETURN CASE WHEN j.id IS NOT NULL THEN nodeai.finetune_shown(j) END;
END
$$;
SELECT nodeai.expose('public.finetune_seen(jsonb)', '{service_role}');

-- Calls of models as examples: {"org_id","workflow_id"?,"model"?,"from_us"?,"to_us"?,"score"?: {"name","min"?,"max"?},"limit"} →
-- [attributes of the spans], newest first.
CREATE FUNCTION public.finetune_calls(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(x.attributes), '[]') FROM (
    SELECT s.attributes FROM public.spans s
    WHERE s.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
      AND s.model IS NOT NULL AND s.status <> 'error'
      AND (p ->> 'model' IS NULL OR s.model = p ->> 'model')
      AND (p ->> 'workflow_id' IS NULL OR s.workflow_id = (p ->> 'workflow_id')::uuid)
      AND (p ->> 'from_us' IS NULL
        OR s.started_at >= nodeai.from_us((p ->> 'from_us')::bigint) AND s.day >= nodeai.day_of((p ->> 'from_us')::bigint))
      AND (p ->> 'to_us' IS NULL
        OR s.started_at < nodeai.from_us((p ->> 'to_us')::bigint) AND s.day <= nodeai.day_of((p ->> 'to_us')::bigint))
      AND (p -> 'score' IS NULL OR p -> 'score' = 'null' OR EXISTS (SELECT FROM public.trace_scores c
        WHERE c.org_id = s.org_id AND c.trace_id = s.trace_id AND coalesce(c.span_id, s.span_id) = s.span_id
          AND c.name = p #>> '{score,name}'
          AND c.score >= coalesce((p #>> '{score,min}')::double precision, '-infinity')
          AND c.score <= coalesce((p #>> '{score,max}')::double precision, 'infinity')))
    ORDER BY s.started_at DESC LIMIT (p ->> 'limit')::integer) x
$$;
SELECT nodeai.expose('public.finetune_calls(jsonb)', '{authenticated,service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['finetune_seen', 'finetune_calls']) fn;
