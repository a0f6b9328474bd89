-- Knowledge bases: who may find what, work that is kept, sitemaps of a rebuilt base, and sources with more documents than a request.

-- Who may find a document, by labels of whoever asks for them, such as `group:sales` or a user of theirs; null for everybody. A search names
-- the labels of the person it is for, and finds nothing else: without any, what is for everybody.
ALTER TABLE public.documents
  ADD COLUMN access text[] CONSTRAINT documents_access CHECK (cardinality(access) BETWEEN 1 AND 100);
CREATE INDEX documents_access_idx ON public.documents (knowledge_base_id) WHERE access IS NOT NULL;

-- Labels as they are stored: sorted, each once; null for none.
CREATE FUNCTION nodeai.access_of(given jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
  SELECT array_agg(DISTINCT x ORDER BY x) FROM jsonb_array_elements_text(nullif(given, 'null')) x
$$;
SELECT nodeai.expose('nodeai.access_of(jsonb)', '{authenticated,service_role}');

-- As in 043, with "access".
CREATE OR REPLACE FUNCTION nodeai.add_documents(org uuid, base uuid, given jsonb, skip boolean, origin uuid) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  one jsonb;
  twin uuid;
  added jsonb := '[]';
  sitemap boolean;
  k public.knowledge_bases;
BEGIN
  PERFORM nodeai.require_runner(org);
  -- New indexes wait: a document is in all of them.
  SELECT * INTO k FROM public.knowledge_bases x WHERE x.id = base AND x.org_id = org FOR SHARE;
  FOR one IN SELECT d FROM jsonb_array_elements(given) d LOOP
    twin := NULL;
    IF one ->> 'content_hash' IS NOT NULL THEN
      SELECT d.id INTO twin FROM public.documents d
        WHERE d.knowledge_base_id = base AND d.content_hash = one ->> 'content_hash' ORDER BY d.id LIMIT 1;
    ELSIF origin IS NOT NULL THEN
      SELECT d.id INTO twin FROM public.documents d
        WHERE d.knowledge_base_id = base AND d.source_uri = one ->> 'source_uri' AND d.source_kind = 'url' LIMIT 1;
    END IF;
    IF twin IS NULL OR NOT skip THEN
      sitemap := one ->> 'source_kind' = 'sitemap';
      INSERT INTO public.documents (id, org_id, knowledge_base_id, title, source_kind, source_uri, file_id, content_type,
          content_hash, pending_content, metadata, origin_id, created_by, access)
        VALUES ((one ->> 'id')::uuid, org, base, one ->> 'title', one ->> 'source_kind', one ->> 'source_uri',
          (one ->> 'file_id')::uuid, one ->> 'content_type', one ->> 'content_hash', one ->> 'content',
          coalesce(nullif(one -> 'metadata', 'null'), '{}'), origin, auth.uid(),
          -- What a sitemap leads to is for those that the sitemap is for.
          CASE WHEN origin IS NULL THEN nodeai.access_of(one -> 'access') ELSE (SELECT x.access FROM public.documents x WHERE x.id = origin) END);
      INSERT INTO public.knowledge_jobs (id, org_id, knowledge_base_id, document_id, index_version, refetch, user_id, key_id)
        SELECT nodeai.uuid_v7(), org, base, (one ->> 'id')::uuid, i.number,
          one ->> 'source_kind' IN ('url', 'sitemap') AND i.number = k.active_index,
          auth.uid(), nullif(nodeai.claims() ->> 'key_id', '')::uuid
        FROM public.knowledge_indexes i
        WHERE i.knowledge_base_id = base AND (NOT sitemap OR i.number = k.active_index);
    END IF;
    added := added || jsonb_build_array(jsonb_build_object('id', CASE WHEN twin IS NULL OR NOT skip THEN one -> 'id' END,
      'title', one -> 'title', 'duplicate_of', twin));
  END LOOP;
  RETURN added;
END
$$;

-- As in 051, with "access": labels of whoever it is for; `*` among them for all that there is.
CREATE OR REPLACE FUNCTION nodeai.search_chunks(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  k public.knowledge_bases;
  graph nodeai.vector_tables;
  idx integer;
  s jsonb;
  most integer := (p ->> 'candidates')::integer;
  -- Codes are near to cosines: of the nearest so many at least, whoever asks scores exactly.
  near integer := greatest(most, 100);
  coarse integer;
  terms jsonb;
  n bigint;
  mean double precision;
  k1 double precision;
  b double precision;
  labels text[] := nodeai.access_of(p -> 'access');
  restricted boolean;
  allowed uuid[];
  within bigint;
  code jsonb := nullif(p -> 'code', 'null');
  path text;
  found uuid[];
  latest bigint;
  lexical jsonb := '[]';
  vector jsonb := '[]';
  ids uuid[];
  chunks jsonb;
BEGIN
  PERFORM nodeai.require_member(org);
  SELECT * INTO k FROM public.knowledge_bases x WHERE x.id = (p ->> 'id')::uuid AND x.org_id = org;
  idx := coalesce((p ->> 'index')::integer, k.active_index);
  SELECT i.settings INTO s FROM public.knowledge_indexes i WHERE i.knowledge_base_id = k.id AND i.number = idx;
  IF s IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT c.chunk_count, c.term_count::double precision / nullif(c.chunk_count, 0) INTO n, mean FROM public.corpus_stats c
    WHERE c.knowledge_base_id = k.id AND c.index_version = idx;
  k1 := coalesce((k.settings #>> '{search,k1}')::double precision, 1.2);
  b := coalesce((k.settings #>> '{search,b}')::double precision, 0.75);
  within := n;
  restricted := NOT coalesce('*' = ANY (labels), false)
    AND EXISTS (SELECT FROM public.documents d WHERE d.knowledge_base_id = k.id AND d.access IS NOT NULL);
  IF restricted OR p ->> 'filter' IS NOT NULL OR nullif(p -> 'documents', 'null') IS NOT NULL THEN
    SELECT coalesce(array_agg(d.id), '{}'), coalesce(sum(d.chunk_count), 0) INTO allowed, within FROM public.documents d
      WHERE d.knowledge_base_id = k.id AND d.org_id = org
        AND (NOT restricted OR d.access IS NULL OR coalesce(d.access && labels, false))
        AND (p ->> 'filter' IS NULL OR d.metadata @@ (p ->> 'filter')::jsonpath)
        AND (nullif(p -> 'documents', 'null') IS NULL OR p -> 'documents' ? d.id::text);
  END IF;
  terms := p -> 'analyses' -> (s #>> '{lexical,analyser}');
  IF terms IS NOT NULL AND n > 0 THEN
    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('id', x.chunk_id, 'score', x.score, 'terms',
        CASE WHEN (p ->> 'explain')::boolean THEN (
          SELECT jsonb_object_agg(a.term, jsonb_build_object('idf', a.idf, 'tf', t.frequency, 'length', t.length,
            'score', a.idf * t.frequency / (t.frequency + k1 * (1 - b + b * t.length / mean))))
          FROM (SELECT q.key AS term, q.value::double precision
                * ln(1 + (n - f.document_frequency + 0.5) / (f.document_frequency + 0.5)) AS idf
              FROM jsonb_each_text(terms) q JOIN public.term_stats f
                ON f.knowledge_base_id = k.id AND f.index_version = idx AND f.term = q.key) a
            JOIN public.chunk_terms t ON t.knowledge_base_id = k.id AND t.index_version = idx AND t.term = a.term
            AND t.chunk_id = x.chunk_id) END)) ORDER BY x.score DESC, x.chunk_id), '[]')
      INTO lexical FROM nodeai.best_by_terms(k.id, idx, terms, allowed, most, n, mean, k1, b) x;
  END IF;
  IF code IS NOT NULL THEN
    -- Two of a hundred, as measured (shared/knowledge/src/vector.rs).
    coarse := coalesce((p ->> 'coarse')::integer, greatest(2000, coalesce(n, 0) / 50));
    SELECT * INTO graph FROM nodeai.vector_tables x WHERE x.knowledge_base_id = k.id AND x.index_version = idx;
    IF graph.built AND within > greatest(2000, n / 50) AND NOT coalesce((p ->> 'exact')::boolean, false) THEN
      -- The graph's distances are those of halves: a few more than are wanted are scored exactly.
      found := nodeai.near_by_graph(k.id, idx, graph, allowed, p ->> 'vector', most + 10);
    END IF;
    IF cardinality(found) = most + 10 THEN
      path := 'hnsw';
      SELECT x.serial INTO latest FROM nodeai.chunk_codes x WHERE x.knowledge_base_id = k.id AND x.index_version = idx
        ORDER BY x.serial DESC LIMIT 1;
      IF latest > graph.settled_to THEN
        found := found || nodeai.near_by_codes(k.id, idx, graph.settled_to, allowed, code, coarse, near);
      END IF;
    ELSE
      path := 'exact';
      found := nodeai.near_by_codes(k.id, idx, -1, allowed, code, coarse, near);
    END IF;
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'embedding', translate(encode(c.embedding, 'base64'), E'\n', ''))
        ORDER BY x.at), '[]')
      INTO vector FROM (SELECT f.id, min(f.at) AS at FROM unnest(found) WITH ORDINALITY AS f (id, at) GROUP BY f.id) x
        JOIN public.chunks c ON c.id = x.id;
  END IF;
  ids := ARRAY(SELECT (x ->> 'id')::uuid FROM jsonb_array_elements(lexical || vector) x GROUP BY 1);
  SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'document_id', c.document_id, 'number', c.number,
      'start', c.start_offset, 'end', c.end_offset, 'content', c.content, 'metadata', d.metadata || c.metadata,
      'title', d.title, 'source_uri', d.source_uri, 'source_kind', d.source_kind,
      'embedding', CASE WHEN (p ->> 'embeddings')::boolean THEN translate(encode(c.embedding, 'base64'), E'\n', '') END,
      'expanded', CASE p ->> 'expand'
        WHEN 'parent' THEN (SELECT jsonb_build_object('start', c.parent_start, 'end', c.parent_end,
          'content', substr(d.content, c.parent_start + 1, c.parent_end - c.parent_start)) WHERE c.parent_start IS NOT NULL)
        WHEN 'window' THEN (SELECT jsonb_build_object('start', w.low, 'end', w.high, 'content', substr(d.content, w.low + 1, w.high - w.low))
          FROM (SELECT min(o.start_offset) AS low, max(o.end_offset) AS high FROM public.chunks o
            WHERE o.document_id = c.document_id AND o.index_version = idx
              AND o.number BETWEEN c.number - (p ->> 'window')::integer AND c.number + (p ->> 'window')::integer) w) END)), '[]')
    INTO chunks
    FROM public.chunks c JOIN public.documents d ON d.id = c.document_id WHERE c.id = ANY (ids);
  RETURN jsonb_build_object('index', idx, 'settings', s, 'chunk_count', n, 'path', path, 'lexical', lexical, 'vector', vector,
    'chunks', chunks);
END
$$;

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
        metadata = coalesce(nullif(row_given -> 'metadata', 'null'), x.metadata),
        access = CASE WHEN row_given ? 'access' THEN nodeai.access_of(row_given -> 'access') ELSE x.access END, version = x.version + 1, updated_at = now()
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
    IF d.title <> one ->> 'title' OR d.metadata <> coalesce(nullif(one -> 'metadata', 'null'), '{}')
       OR d.access IS DISTINCT FROM nodeai.access_of(one -> 'access') THEN
      d := nodeai.change_document(org, 'update', place || jsonb_build_object('row', jsonb_build_object('title', one -> 'title',
        'access', one -> 'access', 'metadata', coalesce(nullif(one -> 'metadata', 'null'), '{}'))));
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
