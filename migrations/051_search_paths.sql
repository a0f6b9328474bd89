-- Search by the fastest of exact ways, and by the graph of 050 where there is one. Answers say which way the vectors went.

-- The best `most` chunks by BM25, of those in `allowed` documents (null: of all). Exact: rare terms are read first, and common ones are
-- only looked up for chunks that can still be among the best (MaxScore; Turtle and Flood, "Query evaluation: strategies and
-- optimizations", 1995). A term's part of a score is less than its weight, and that is what bounds what has not been read.
CREATE FUNCTION nodeai.best_by_terms(base uuid, idx integer, asked jsonb, allowed uuid[], most integer, n bigint, mean double precision,
  k1 double precision, b double precision)
RETURNS TABLE (chunk_id uuid, score double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  terms text[];
  weights double precision[];
  often bigint[];
  head integer := 0;
  reads bigint := 0;
  goal bigint := 2 * most;
  rest double precision;
  rest_reads bigint;
  least_score double precision;
  ids uuid[];
  scores double precision[];
BEGIN
  SELECT array_agg(x.term ORDER BY x.df, x.term), array_agg(x.weight ORDER BY x.df, x.term), array_agg(x.df ORDER BY x.df, x.term)
    INTO terms, weights, often FROM (
      SELECT t.key AS term, f.document_frequency::bigint AS df,
        t.value::double precision * ln(1 + (n - f.document_frequency + 0.5) / (f.document_frequency + 0.5)) AS weight
      FROM jsonb_each_text(asked) t JOIN public.term_stats f
        ON f.knowledge_base_id = base AND f.index_version = idx AND f.term = t.key) x;
  WHILE head < coalesce(cardinality(terms), 0) LOOP
    LOOP
      head := head + 1;
      reads := reads + often[head];
      EXIT WHEN head = cardinality(terms) OR reads >= goal;
    END LOOP;
    goal := 4 * reads;
    SELECT coalesce(sum(w), 0) INTO rest FROM unnest(weights[head + 1:]) w;
    SELECT coalesce(sum(o), 0) INTO rest_reads FROM unnest(often[head + 1:]) o;
    -- What is left to read is less than what was, or weighs more: on.
    CONTINUE WHEN head < cardinality(terms) AND rest >= (SELECT sum(w) FROM unnest(weights[:head]) w);
    WITH scored AS MATERIALIZED (
      SELECT t.chunk_id, sum(a.weight * t.frequency / (t.frequency + k1 * (1 - b + b * t.length / mean))) AS score
      FROM unnest(terms[:head], weights[:head]) AS a (term, weight)
        JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term
      WHERE allowed IS NULL OR t.chunk_id IN (SELECT c.id FROM public.chunks c
        WHERE c.knowledge_base_id = base AND c.index_version = idx AND c.document_id = ANY (allowed))
      GROUP BY t.chunk_id
    ), bound AS MATERIALIZED (
      SELECT x.score FROM scored x ORDER BY x.score DESC OFFSET most - 1 LIMIT 1
    ), near AS MATERIALIZED (
      SELECT x.chunk_id, x.score FROM scored x
      WHERE x.score >= coalesce((SELECT y.score FROM bound y), 0) - rest - 1e-9
      ORDER BY x.score DESC, x.chunk_id LIMIT CASE WHEN head = cardinality(terms) THEN most END
    )
    SELECT array_agg(x.chunk_id), array_agg(x.score), (SELECT y.score FROM bound y) INTO ids, scores, least_score FROM near x;
    EXIT WHEN head = cardinality(terms);
    EXIT WHEN least_score > rest + 1e-9 AND cardinality(ids) * (cardinality(terms) - head) <= greatest(rest_reads / 4, 1000);
  END LOOP;
  RETURN QUERY
    SELECT x.id, x.score + coalesce(o.score, 0)
    FROM unnest(ids, scores) AS x (id, score) LEFT JOIN LATERAL (
      SELECT sum(a.weight * t.frequency / (t.frequency + k1 * (1 - b + b * t.length / mean))) AS score
      FROM unnest(terms[head + 1:], weights[head + 1:]) AS a (term, weight)
        JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term AND t.chunk_id = x.id
    ) o ON head < cardinality(terms)
    ORDER BY 2 DESC, 1 LIMIT most;
END
$$;
SELECT nodeai.expose('nodeai.best_by_terms(uuid, integer, jsonb, uuid[], integer, bigint, double precision, double precision, double precision)', '{}');

-- The nearest `most` chunks by their codes, of those that were published after `since`: by the two high planes the best `coarse`, of
-- them by all four the best.
CREATE FUNCTION nodeai.near_by_codes(base uuid, idx integer, since bigint, allowed uuid[], code jsonb, coarse integer, most integer)
RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_custom_plan
  SET enable_seqscan = on AS $$
DECLARE
  q3 bit varying := ('x' || (code ->> 'plane3'))::varbit;
  q2 bit varying := ('x' || (code ->> 'plane2'))::varbit;
  q1 bit varying := ('x' || (code ->> 'plane1'))::varbit;
  q0 bit varying := ('x' || (code ->> 'plane0'))::varbit;
  ids uuid[];
BEGIN
  -- What came after a number is little, but all bases share the numbers: the planner takes it for much.
  PERFORM set_config('enable_seqscan', CASE WHEN since < 0 THEN 'on' ELSE 'off' END, true);
  WITH near AS MATERIALIZED (
    SELECT x.chunk_id, x.plane3, x.plane2, x.plane1, x.plane0 FROM nodeai.chunk_codes x
    WHERE x.knowledge_base_id = base AND x.index_version = idx AND x.serial > since AND (allowed IS NULL OR x.document_id = ANY (allowed))
    ORDER BY 4 * bit_count(x.plane3 # q3) + 2 * bit_count(x.plane3 # q2) + 2 * bit_count(x.plane2 # q3) + bit_count(x.plane2 # q2)
    LIMIT coarse
  ), best AS MATERIALIZED (
    SELECT x.chunk_id,
      64 * bit_count(x.plane3 # q3) + 32 * (bit_count(x.plane3 # q2) + bit_count(x.plane2 # q3))
      + 16 * (bit_count(x.plane3 # q1) + bit_count(x.plane2 # q2) + bit_count(x.plane1 # q3))
      + 8 * (bit_count(x.plane3 # q0) + bit_count(x.plane2 # q1) + bit_count(x.plane1 # q2) + bit_count(x.plane0 # q3))
      + 4 * (bit_count(x.plane2 # q0) + bit_count(x.plane1 # q1) + bit_count(x.plane0 # q2))
      + 2 * (bit_count(x.plane1 # q0) + bit_count(x.plane0 # q1)) + bit_count(x.plane0 # q0) AS far
    FROM near x ORDER BY far, x.chunk_id LIMIT most
  )
  SELECT coalesce(array_agg(x.chunk_id ORDER BY x.far, x.chunk_id), '{}') INTO ids FROM best x;
  RETURN ids;
END
$$;
SELECT nodeai.expose('nodeai.near_by_codes(uuid, integer, bigint, uuid[], jsonb, integer, integer)', '{}');

-- The nearest `most` chunks by an index's graph, walked on under the conditions until there are as many; null where there is none, or it
-- does not find as many as there must be. Other ways than the graph's are made dear: ours is chosen before.
CREATE FUNCTION nodeai.near_by_graph(base uuid, idx integer, t nodeai.vector_tables, allowed uuid[], question text, most integer)
RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_custom_plan
  SET enable_seqscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  home text := nodeai.vector_home();
  ids uuid[];
BEGIN
  IF home IS NULL OR NOT t.built OR question IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('hnsw.iterative_scan', 'strict_order', true),
    set_config('hnsw.ef_search', least(greatest(2 * most, 200), 1000)::text, true),
    set_config('hnsw.max_scan_tuples', '100000', true);
  EXECUTE format(
    'SELECT coalesce(array_agg(x.chunk_id), ''{}'') FROM (
       SELECT v.chunk_id FROM nodeai.%I v
       WHERE ($3 IS NULL OR v.document_id = ANY ($3)) AND EXISTS (SELECT FROM nodeai.chunk_codes x WHERE x.chunk_id = v.chunk_id
         AND x.knowledge_base_id = $4 AND x.index_version = $5)
       ORDER BY v.embedding OPERATOR(%2$s.<=>) $1::%2$s.halfvec(%3$s) LIMIT $2) x', t.relation, home, t.dimensions)
    INTO ids USING question, most, allowed, base, idx;
  RETURN ids;
EXCEPTION
  -- The extension or the table has gone since, or the question has another length.
  WHEN undefined_table OR undefined_column OR undefined_object OR undefined_function OR data_exception OR undefined_file THEN
    RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.near_by_graph(uuid, integer, nodeai.vector_tables, uuid[], text, integer)', '{}');

-- As in 043, with "vector": the question's values, beside "code", and "path" in the answer: `hnsw` where pgvector's graph was walked,
-- `exact` where codes were scanned, null where no vectors were asked for. "exact": true asks for codes. Few chunks, or few under the
-- conditions, are scanned by their codes: that is faster than a walk that skips most of what it meets.
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
  IF p ->> 'filter' IS NOT NULL OR nullif(p -> 'documents', 'null') IS NOT NULL THEN
    SELECT coalesce(array_agg(d.id), '{}'), coalesce(sum(d.chunk_count), 0) INTO allowed, within FROM public.documents d
      WHERE d.knowledge_base_id = k.id AND d.org_id = org
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
      found := nodeai.near_by_graph(k.id, idx, graph, allowed, p ->> 'vector', near);
    END IF;
    IF cardinality(found) = near THEN
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

-- A base as in 043, and how each index finds its vectors: `hnsw` where pgvector's graph is there, `exact` where codes are scanned, null
-- where it has none; "waiting": chunks that the graph does not have yet, which are scanned.
ALTER FUNCTION public.knowledge_base(jsonb) RENAME TO knowledge_base_plain;
ALTER FUNCTION public.knowledge_base_plain(jsonb) SET SCHEMA nodeai;
CREATE FUNCTION nodeai.vector_paths(base uuid, org uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM nodeai.require_member(org);
  RETURN (SELECT coalesce(jsonb_object_agg(i.number, jsonb_build_object(
      'path', CASE WHEN NOT EXISTS (SELECT FROM nodeai.chunk_codes x WHERE x.knowledge_base_id = base AND x.index_version = i.number) THEN NULL
        WHEN t.built AND nodeai.vector_home() IS NOT NULL THEN 'hnsw' ELSE 'exact' END,
      'waiting', CASE WHEN t.built THEN (SELECT count(*) FROM nodeai.chunk_codes x
        WHERE x.knowledge_base_id = base AND x.index_version = i.number AND x.serial > t.settled_to) END)), '{}')
    FROM public.knowledge_indexes i LEFT JOIN nodeai.vector_tables t
      ON t.knowledge_base_id = base AND t.index_version = i.number
    WHERE i.knowledge_base_id = base AND i.org_id = org);
END
$$;
SELECT nodeai.expose('nodeai.vector_paths(uuid, uuid)', '{authenticated,service_role}');
CREATE FUNCTION public.knowledge_base(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  shown jsonb := nodeai.knowledge_base_plain(p);
  paths jsonb;
BEGIN
  IF shown IS NULL THEN
    RETURN NULL;
  END IF;
  paths := nodeai.vector_paths((p ->> 'id')::uuid, org);
  RETURN jsonb_set(shown, '{indexes}', (SELECT coalesce(jsonb_agg(i || jsonb_build_object('vectors', paths -> (i ->> 'number'))), '[]')
    FROM jsonb_array_elements(shown -> 'indexes') i));
END
$$;
SELECT nodeai.expose('nodeai.knowledge_base_plain(jsonb)', '{authenticated,service_role}');
SELECT nodeai.expose('public.knowledge_base(jsonb)', '{authenticated,service_role}');
