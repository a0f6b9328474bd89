-- Knowledge bases: work that is kept, sitemaps of a rebuilt base, and sources with more documents than a request.

-- Vectors of texts that are no chunks, so that a text that is cut by its meaning is embedded once, however often its job is taken up. Names
-- the lease, as a step does: {"org_id","job_id","lease_token","lease_us","step","model"} and
--   recall {hashes}     → "vectors": {hash: little-endian float32 in base64}, of those that there are
--   remember {vectors}  [{"hash","embedding","plane3",…}]; the job has got somewhere then
CREATE FUNCTION nodeai.job_vectors(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  fresh boolean := p ->> 'step' = 'remember';
BEGIN
  PERFORM nodeai.require_runner(org);
  UPDATE public.knowledge_jobs x SET updated_at = clock_timestamp(), step = CASE WHEN fresh THEN 0 ELSE x.step END,
      losses = CASE WHEN fresh THEN 0 ELSE x.losses END,
      lease_until = clock_timestamp() + coalesce((p ->> 'lease_us')::bigint, 60000000) * interval '1 microsecond'
    WHERE x.id = (p ->> 'job_id')::uuid AND x.org_id = org AND x.status = 'processing' AND x.lease_token = (p ->> 'lease_token')::bigint;
  IF NOT FOUND THEN
    RETURN '{"outcome":"lost"}';
  END IF;
  IF fresh THEN
    INSERT INTO public.embedding_cache (org_id, model, content_hash, embedding, plane3, plane2, plane1, plane0)
      SELECT org, p ->> 'model', v ->> 'hash', decode(v ->> 'embedding', 'base64'), ('x' || (v ->> 'plane3'))::varbit,
        ('x' || (v ->> 'plane2'))::varbit, ('x' || (v ->> 'plane1'))::varbit, ('x' || (v ->> 'plane0'))::varbit
      FROM jsonb_array_elements(p -> 'vectors') v ORDER BY v ->> 'hash'
      ON CONFLICT DO NOTHING;
    RETURN '{"outcome":"ok"}';
  END IF;
  RETURN jsonb_build_object('outcome', 'ok', 'vectors', (
    SELECT coalesce(jsonb_object_agg(e.content_hash, translate(encode(e.embedding, 'base64'), E'\n', '')), '{}')
    FROM public.embedding_cache e
    WHERE e.org_id = org AND e.model = p ->> 'model' AND e.content_hash IN (SELECT jsonb_array_elements_text(p -> 'hashes'))));
END
$$;
SELECT nodeai.expose('nodeai.job_vectors(jsonb)', '{authenticated,service_role}');

CREATE OR REPLACE FUNCTION public.knowledge_step(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  IF p ->> 'step' IN ('recall', 'remember') THEN
    RETURN nodeai.job_vectors(p);
  END IF;
  RETURN nodeai.job_step(p);
END
$$;

-- As in 043. A sitemap has no chunks, so an index that is built beside another has no job of it: asked again, it gets one.
CREATE OR REPLACE FUNCTION nodeai.change_document(org uuid, what text, args jsonb) RETURNS public.documents
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  d public.documents := nodeai.document_of(org, args);
  row_given jsonb := args -> 'row';
  idx integer;
  active integer := (SELECT k.active_index FROM public.knowledge_bases k WHERE k.id = d.knowledge_base_id);
BEGIN
  CASE what
  WHEN 'update' THEN
    UPDATE public.documents x SET title = coalesce(row_given ->> 'title', x.title),
        metadata = coalesce(nullif(row_given -> 'metadata', 'null'), x.metadata), version = x.version + 1, updated_at = now()
      WHERE x.id = d.id RETURNING * INTO d;
  WHEN 'content' THEN
    IF d.content_hash IS NOT DISTINCT FROM args ->> 'content_hash' AND d.status <> 'failed' THEN
      RETURN d;
    END IF;
    UPDATE public.documents x SET pending_content = args ->> 'content', content_hash = args ->> 'content_hash',
        content_type = coalesce(args ->> 'content_type', x.content_type), status = 'pending', error = NULL, progress = '{}',
        version = x.version + 1, updated_at = now()
      WHERE x.id = d.id RETURNING * INTO d;
    PERFORM nodeai.reset_jobs(d.id, false, NULL);
  WHEN 'retry' THEN
    IF nodeai.reset_jobs(d.id, true, NULL) = 0 THEN
      RAISE EXCEPTION 'nothing of this document has failed' USING ERRCODE = 'NA409';
    END IF;
    UPDATE public.documents x SET error = NULL, version = x.version + 1, updated_at = now(),
        status = CASE WHEN x.status = 'failed' THEN 'pending' ELSE x.status END
      WHERE x.id = d.id RETURNING * INTO d;
  WHEN 'refresh' THEN
    IF d.source_kind NOT IN ('url', 'sitemap') THEN
      RAISE EXCEPTION 'only what came from a URL has a source that can be asked again' USING ERRCODE = 'NA409';
    END IF;
    UPDATE public.knowledge_jobs j SET refetch = true, status = 'pending', step = 0, losses = 0, next_at = clock_timestamp(),
        lease_until = NULL, lease_token = j.lease_token + 1, error = NULL, user_id = auth.uid(),
        key_id = nullif(nodeai.claims() ->> 'key_id', '')::uuid
      WHERE j.document_id = d.id AND j.index_version = active;
    IF NOT FOUND THEN
      INSERT INTO public.knowledge_jobs (id, org_id, knowledge_base_id, document_id, index_version, refetch, user_id, key_id)
        VALUES (nodeai.uuid_v7(), org, d.knowledge_base_id, d.id, active, true, auth.uid(), nullif(nodeai.claims() ->> 'key_id', '')::uuid);
    END IF;
    UPDATE public.documents x SET status = 'pending', error = NULL, version = x.version + 1, updated_at = now()
      WHERE x.id = d.id RETURNING * INTO d;
  WHEN 'remove' THEN
    FOR idx IN SELECT i.number FROM public.knowledge_indexes i WHERE i.knowledge_base_id = d.knowledge_base_id ORDER BY 1 LOOP
      PERFORM nodeai.hold_index(d.knowledge_base_id, idx);
      PERFORM nodeai.drop_chunks(d.knowledge_base_id, idx, d.id, '{}');
    END LOOP;
    DELETE FROM public.documents x WHERE x.id = d.id;
  END CASE;
  RETURN d;
END
$$;

-- As in 061. A source that has more documents than a request takes says in its last request which keys there are: "keep".
DROP FUNCTION nodeai.sync_documents(uuid, uuid, text, jsonb, boolean);
CREATE FUNCTION nodeai.sync_documents(org uuid, base uuid, source text, given jsonb, complete boolean, kept jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  one jsonb;
  place jsonb;
  d public.documents;
  was integer;
  gone uuid;
  removed integer := 0;
  told jsonb := '[]';
BEGIN
  PERFORM nodeai.require_runner(org);
  -- Two at once would both add what neither has seen.
  PERFORM pg_advisory_xact_lock(hashtextextended('connector ' || base || ' ' || source, 0));
  FOR one IN SELECT g FROM jsonb_array_elements(given) g LOOP
    SELECT * INTO d FROM public.documents x
      WHERE x.knowledge_base_id = base AND x.org_id = org AND x.connector = source AND x.source_uri = one ->> 'source_uri';
    IF d.id IS NULL THEN
      PERFORM nodeai.add_documents(org, base, jsonb_build_array(one || '{"source_kind":"connector"}'), false, NULL);
      UPDATE public.documents x SET connector = source WHERE x.id = (one ->> 'id')::uuid;
      told := told || jsonb_build_array(jsonb_build_object('key', one -> 'source_uri', 'id', one -> 'id', 'outcome', 'added'));
      CONTINUE;
    END IF;
    was := d.version;
    place := jsonb_build_object('id', d.id, 'knowledge_base_id', base);
    d := nodeai.change_document(org, 'content', place || nodeai.some_of(one, '["content","content_hash","content_type"]'));
    IF d.title <> one ->> 'title' OR d.metadata <> coalesce(nullif(one -> 'metadata', 'null'), '{}') THEN
      d := nodeai.change_document(org, 'update', place || jsonb_build_object('row', jsonb_build_object('title', one -> 'title',
        'metadata', coalesce(nullif(one -> 'metadata', 'null'), '{}'))));
    END IF;
    told := told || jsonb_build_array(jsonb_build_object('key', one -> 'source_uri', 'id', d.id,
      'outcome', CASE WHEN d.version = was THEN 'unchanged' ELSE 'changed' END));
  END LOOP;
  IF complete THEN
    FOR gone IN SELECT x.id FROM public.documents x
        WHERE x.knowledge_base_id = base AND x.org_id = org AND x.connector = source
          AND x.source_uri NOT IN (SELECT g ->> 'source_uri' FROM jsonb_array_elements(given) g
            UNION ALL SELECT g FROM jsonb_array_elements_text(coalesce(nullif(kept, 'null'), '[]')) g) ORDER BY x.id LOOP
      PERFORM nodeai.change_document(org, 'remove', jsonb_build_object('id', gone, 'knowledge_base_id', base));
      removed := removed + 1;
    END LOOP;
  END IF;
  RETURN jsonb_build_object('documents', told, 'removed', removed) || (
    SELECT jsonb_build_object('added', count(*) FILTER (WHERE t ->> 'outcome' = 'added'),
      'changed', count(*) FILTER (WHERE t ->> 'outcome' = 'changed'),
      'unchanged', count(*) FILTER (WHERE t ->> 'outcome' = 'unchanged')) FROM jsonb_array_elements(told) t);
END
$$;
SELECT nodeai.expose('nodeai.sync_documents(uuid, uuid, text, jsonb, boolean, jsonb)', '{authenticated,service_role}');
CREATE OR REPLACE FUNCTION nodeai.do_knowledge_sync(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  k public.knowledge_bases := nodeai.base_of(org, (args ->> 'knowledge_base_id')::uuid);
  done jsonb := nodeai.sync_documents(org, k.id, args ->> 'connector', args -> 'documents', (args ->> 'complete')::boolean, args -> 'keep');
BEGIN
  RETURN jsonb_build_object('body', done, 'changes', (done - 'documents') || jsonb_build_object('connector', args -> 'connector'));
END
$$;

-- {"org_id"} → an organisation's own prices, as the cost engine reads them: for estimates before a call.
CREATE FUNCTION public.own_prices(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT nodeai.own_prices(coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid)
$$;
SELECT nodeai.expose('public.own_prices(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('own_prices');
