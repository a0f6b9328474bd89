-- A search under a condition that many documents meet asks it of what it finds, instead of all documents before. Results are those of before.

-- What documents must meet: labels of whoever they may be for (null: whoever), and a condition of their metadata (null: none).
CREATE TYPE nodeai.document_filter AS (access text[], metadata jsonpath);

-- Whether a document with these labels and metadata does.
CREATE FUNCTION nodeai.meets(access text[], metadata jsonb, f nodeai.document_filter) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN ((f).access IS NULL OR access IS NULL OR access && (f).access) AND ((f).metadata IS NULL OR metadata @@ (f).metadata);
SELECT nodeai.expose('nodeai.meets(text[], jsonb, nodeai.document_filter)', '{}');

-- All that do in a base, of those in `listed` where that is not null, in order, and how many chunks they have.
CREATE FUNCTION nodeai.documents_that_meet(base uuid, org uuid, f nodeai.document_filter, listed jsonb, OUT ids uuid[], OUT chunks bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  SELECT coalesce(array_agg(d.id ORDER BY d.id), '{}'), coalesce(sum(d.chunk_count), 0) INTO ids, chunks FROM public.documents d
    WHERE d.knowledge_base_id = base AND d.org_id = org AND nodeai.meets(d.access, d.metadata, f)
      AND (listed IS NULL OR listed ? d.id::text);
END
$$;
SELECT nodeai.expose('nodeai.documents_that_meet(uuid, uuid, nodeai.document_filter, jsonb)', '{}');

-- Of which share of an index's `n` chunks the documents do, by 64 chunks of them, evenly spread; null where asking all documents takes no
-- longer.
CREATE FUNCTION nodeai.share_that_meets(base uuid, idx integer, n bigint, f nodeai.document_filter) RETURNS double precision
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  IF n < 2500 THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT avg(coalesce(nodeai.meets(d.access, d.metadata, f), false)::integer)
    FROM public.corpus_stats s CROSS JOIN LATERAL generate_series(0, s.numbered - 1, greatest(s.numbered / 64, 1)) AS a (number)
      JOIN nodeai.chunk_numbers c ON c.knowledge_base_id = base AND c.index_version = idx AND c.number = a.number
      JOIN public.documents d ON d.id = c.document_id
    WHERE s.knowledge_base_id = base AND s.index_version = idx);
END
$$;
SELECT nodeai.expose('nodeai.share_that_meets(uuid, integer, bigint, nodeai.document_filter)', '{}');

DROP FUNCTION nodeai.best_by_terms(uuid, integer, jsonb, uuid[], integer, bigint, double precision, double precision, double precision);
DROP FUNCTION nodeai.best_by_postings(uuid, integer, jsonb, uuid[], integer, bigint, double precision, double precision, double precision);
DROP FUNCTION nodeai.best_by_planes(uuid, integer, text[], double precision[], integer, uuid[], integer, integer, double precision, double precision);
DROP FUNCTION nodeai.bounded_chunks(uuid, integer, bit varying[], integer, uuid[]);
DROP FUNCTION nodeai.near_by_graph(uuid, integer, nodeai.vector_tables, uuid[], text, integer);
DROP FUNCTION nodeai.near_by_codes(uuid, integer, bigint, uuid[], jsonb, integer, integer);

-- As in 071, with `f`: what documents must meet, too, null for nothing.
CREATE FUNCTION nodeai.bounded_chunks(base uuid, idx integer, sums bit varying[], low integer, allowed uuid[], f nodeai.document_filter)
RETURNS TABLE (chunk_id uuid, bound integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT c.chunk_id, nodeai.sum_at(sums, c.number) FROM nodeai.set_bits(nodeai.sums_from(sums, low)) AS n (number)
      JOIN nodeai.chunk_numbers c ON c.knowledge_base_id = base AND c.index_version = idx AND c.number = n.number
    WHERE (allowed IS NULL OR nodeai.is_among(c.document_id, allowed))
      AND (f IS NULL OR (SELECT nodeai.meets(d.access, d.metadata, f) FROM public.documents d WHERE d.id = c.document_id));
END
$$;
SELECT nodeai.expose('nodeai.bounded_chunks(uuid, integer, bit varying[], integer, uuid[], nodeai.document_filter)', '{}');

-- As in 071, with `f`. What is in `allowed` is in order.
CREATE FUNCTION nodeai.best_by_planes(base uuid, idx integer, terms text[], weights double precision[], rare integer, allowed uuid[],
  f nodeai.document_filter, most integer, settled integer, flat double precision, steep double precision)
RETURNS TABLE (chunk_id uuid, score double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off SET work_mem = '32MB' AS $$
#variable_conflict use_column
DECLARE
  dense double precision := (SELECT sum(w) FROM unnest(weights[rare + 1:]) w);
  -- Sums are below 1,024, with each term's share rounded up.
  scale double precision := (1023 - cardinality(terms)) / dense;
  sums bit varying[];
  many bigint := CASE WHEN allowed IS NULL AND f IS NULL THEN 4 ELSE 8 END * most;
  low integer;
  least_score double precision;
  -- What has a rare term, with the most that it can have.
  ids uuid[];
  uppers double precision[];
  found uuid[];
  bounds integer[];
  -- What is known exactly.
  scored uuid[] := '{}';
  scores double precision[] := '{}';
BEGIN
  SELECT array_agg(s.chunk_id ORDER BY s.gain DESC), array_agg(s.gain + dense ORDER BY s.gain DESC) INTO ids, uppers FROM (
    SELECT t.chunk_id, sum(a.weight * t.frequency / (t.frequency + flat + steep * t.length)) AS gain
    FROM unnest(terms[:rare], weights[:rare]) AS a (term, weight)
      JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term
    GROUP BY t.chunk_id) s;
  IF ids IS NOT NULL THEN
    found := ARRAY(SELECT x.id FROM unnest(ids) WITH ORDINALITY AS x (id, at)
        JOIN public.chunks c ON c.knowledge_base_id = base AND c.index_version = idx AND c.id = x.id
      WHERE (allowed IS NULL OR nodeai.is_among(c.document_id, allowed))
        AND (f IS NULL OR (SELECT nodeai.meets(d.access, d.metadata, f) FROM public.documents d WHERE d.id = c.document_id))
      ORDER BY x.at LIMIT 2 * most);
    SELECT array_agg(s.chunk_id), array_agg(s.score), (array_agg(s.score ORDER BY s.score DESC))[most] INTO scored, scores, least_score
      FROM nodeai.scores_of(base, idx, found, terms, weights, flat, steep) s;
  END IF;
  found := '{}';
  -- Without a rare term none is among the best when as many are known to have more than all dense ones give.
  IF least_score IS NULL OR least_score <= dense + 1e-9 THEN
    sums := nodeai.all_sums(base, idx, terms[rare + 1:], weights[rare + 1:], scale, flat, steep);
    -- The highest bounds, of enough chunks that are allowed: the last score that counts is no less than the last of theirs.
    LOOP
      low := greatest(nodeai.sum_reached(sums, many), 1);
      SELECT coalesce(array_agg(x.chunk_id ORDER BY x.bound DESC), '{}'), array_agg(x.bound ORDER BY x.bound DESC) INTO found, bounds
        FROM nodeai.bounded_chunks(base, idx, sums, low, allowed, f) x;
      EXIT WHEN low = 1 OR cardinality(found) >= 2 * most;
      many := 4 * many;
    END LOOP;
    SELECT array_agg(s.chunk_id), array_agg(s.score), (array_agg(s.score ORDER BY s.score DESC))[most] INTO scored, scores, least_score FROM (
      SELECT k.chunk_id, k.score FROM unnest(scored, scores) AS k (chunk_id, score)
      UNION ALL SELECT s.chunk_id, s.score FROM nodeai.scores_of(base, idx,
        ARRAY(SELECT unnest(found[:2 * most]) EXCEPT SELECT unnest(scored)), terms, weights, flat, steep) s) s;
    -- And all whose bound reaches that.
    IF low > floor(least_score * scale - 1e-6) THEN
      low := greatest(floor(least_score * scale - 1e-6)::integer, 1);
      found := ARRAY(SELECT x.chunk_id FROM nodeai.bounded_chunks(base, idx, sums, low, allowed, f) x);
    ELSIF least_score IS NOT NULL THEN
      found := ARRAY(SELECT x.id FROM unnest(found, bounds) AS x (id, bound) WHERE x.bound >= floor(least_score * scale - 1e-6));
    END IF;
    -- Sums are bounds of what dense terms give to the others, too.
    SELECT array_agg(x.id) INTO ids FROM unnest(ids, uppers) AS x (id, upper)
        JOIN nodeai.chunk_numbers n ON n.chunk_id = x.id
      WHERE x.upper >= coalesce(least_score, 0) - 1e-9 AND n.number < settled
        AND x.upper - dense + nodeai.sum_at(sums, n.number) / scale >= coalesce(least_score, 0) - 1e-9;
  ELSE
    -- Looked up dense term by dense term, and less whatever cannot be among the best any more.
    SELECT array_agg(x.id), array_agg(x.upper) INTO ids, uppers FROM unnest(ids, uppers) AS x (id, upper) WHERE x.upper >= least_score - 1e-9;
    FOR place IN rare + 1..cardinality(terms) LOOP
      EXIT WHEN cardinality(ids) <= 4 * most;
      SELECT array_agg(x.id), array_agg(x.upper) INTO ids, uppers FROM (
        SELECT c.id, c.upper + weights[place] * (coalesce(t.frequency / (t.frequency + flat + steep * t.length), 0) - 1) AS upper
        FROM unnest(ids, uppers) AS c (id, upper) LEFT JOIN public.chunk_terms t
          ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = terms[place] AND t.chunk_id = c.id) x
      WHERE x.upper >= least_score - 1e-9;
    END LOOP;
  END IF;
  found := ARRAY((SELECT unnest(found)
      UNION SELECT x.id FROM unnest(ids) AS x (id) JOIN public.chunks c
          ON c.knowledge_base_id = base AND c.index_version = idx AND c.id = x.id
        WHERE (allowed IS NULL OR nodeai.is_among(c.document_id, allowed))
          AND (f IS NULL OR (SELECT nodeai.meets(d.access, d.metadata, f) FROM public.documents d WHERE d.id = c.document_id))
      UNION SELECT c.chunk_id FROM nodeai.chunk_numbers c WHERE c.knowledge_base_id = base AND c.index_version = idx
        AND c.number >= settled AND (allowed IS NULL OR nodeai.is_among(c.document_id, allowed))
        AND (f IS NULL OR (SELECT nodeai.meets(d.access, d.metadata, f) FROM public.documents d WHERE d.id = c.document_id)))
    EXCEPT SELECT unnest(scored));
  RETURN QUERY SELECT x.chunk_id, x.score FROM (
      SELECT k.chunk_id, k.score FROM unnest(scored, scores) AS k (chunk_id, score)
      UNION ALL SELECT s.chunk_id, s.score FROM nodeai.scores_of(base, idx, found, terms, weights, flat, steep) s) x
    ORDER BY 2 DESC, 1 LIMIT most;
END
$$;
SELECT nodeai.expose('nodeai.best_by_planes(uuid, integer, text[], double precision[], integer, uuid[], nodeai.document_filter, integer, integer, double precision, double precision)', '{}');

-- As in 071, with `f`, and chunks of few documents looked at one by one.
CREATE FUNCTION nodeai.best_by_terms(base uuid, idx integer, asked jsonb, allowed uuid[], f nodeai.document_filter, most integer, n bigint,
  mean double precision, k1 double precision, b double precision)
RETURNS TABLE (chunk_id uuid, score double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off AS $$
#variable_conflict use_column
DECLARE
  blocks bigint;
  settled integer;
  terms text[];
  weights double precision[];
  often bigint[];
  rare integer;
  -- Of rare terms, and of dense ones.
  rows bigint;
  postings bigint;
  flat double precision := k1 * (1 - b);
  steep double precision := k1 * b / nullif(mean, 0);
  -- As many as it takes to find `most` of them among all.
  few integer := sqrt(most::double precision * n);
  ids uuid[];
BEGIN
  SELECT count(*), max(x.first + x.size) INTO blocks, settled FROM nodeai.term_blocks x WHERE x.knowledge_base_id = base AND x.index_version = idx;
  SELECT array_agg(x.term ORDER BY x.dense, x.df, x.term), array_agg(x.weight ORDER BY x.dense, x.df, x.term),
      array_agg(x.df ORDER BY x.dense, x.df, x.term), count(*) FILTER (WHERE NOT x.dense),
      coalesce(sum(x.df) FILTER (WHERE NOT x.dense), 0), sum(x.df) FILTER (WHERE x.dense)
    INTO terms, weights, often, rare, rows, postings FROM (
      SELECT t.key AS term, s.document_frequency::bigint AS df,
        t.value::double precision * ln(1 + (n - s.document_frequency + 0.5) / (s.document_frequency + 0.5)) AS weight,
        blocks > 0 AND s.document_frequency >= n / 64 AND (SELECT count(*) FROM nodeai.term_planes p
          WHERE p.knowledge_base_id = base AND p.index_version = idx AND p.term = t.key) = blocks AS dense
      FROM jsonb_each_text(asked) t JOIN public.term_stats s
        ON s.knowledge_base_id = base AND s.index_version = idx AND s.term = t.key) x;
  IF terms IS NULL THEN
    RETURN;
  END IF;
  IF cardinality(allowed) <= few THEN
    ids := ARRAY(SELECT c.id FROM unnest(allowed) AS d (id) CROSS JOIN LATERAL (
      SELECT o.id FROM public.chunks o WHERE o.document_id = d.id AND o.index_version = idx OFFSET 0) c LIMIT few + 1);
    IF cardinality(ids) <= few THEN
      RETURN QUERY SELECT * FROM nodeai.best_of_chunks(base, idx, ids, terms, weights, often, rare, most, settled, flat, steep);
      RETURN;
    END IF;
  END IF;
  -- Few postings are read faster than planes are summed, and what waits for a block is scored one by one. Sums of very many terms would
  -- be coarse.
  IF postings >= n / 10 AND rows <= n / 8 AND cardinality(terms) - rare <= 100
     AND (SELECT count(*) FROM (SELECT FROM nodeai.chunk_numbers c
       WHERE c.knowledge_base_id = base AND c.index_version = idx AND c.number >= settled LIMIT 1001) w) <= 1000 THEN
    RETURN QUERY SELECT * FROM nodeai.best_by_planes(base, idx, terms, weights, rare, allowed, f, most, settled, flat, steep);
  ELSE
    RETURN QUERY SELECT * FROM nodeai.best_by_postings(base, idx, terms, weights, often, allowed, f, most, flat, steep);
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.best_by_terms(uuid, integer, jsonb, uuid[], nodeai.document_filter, integer, bigint, double precision, double precision, double precision)', '{}');

-- The best `most` of these chunks by terms of which so many chunks have each (`often`), the first `rare` not dense. Few postings are read;
-- of dense terms planes say what a chunk has of them at most; and scored are those that can be among the best by that.
CREATE FUNCTION nodeai.best_of_chunks(base uuid, idx integer, ids uuid[], terms text[], weights double precision[], often bigint[],
  rare integer, most integer, settled integer, flat double precision, steep double precision)
RETURNS TABLE (chunk_id uuid, score double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
  SET enable_mergejoin = off SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  -- Terms that are read.
  head integer;
  -- What dense terms, and others that are not read, add at most.
  dense double precision;
  rest double precision;
  scale double precision;
  sums bit varying[];
  uppers double precision[];
  scored uuid[];
  scores double precision[];
  least_score double precision;
BEGIN
  IF cardinality(ids) > 2 * most THEN
    IF cardinality(terms) - rare > 100 THEN
      rare := cardinality(terms);
    END IF;
    -- A posting is read in a fraction of the time in which it is looked up.
    SELECT count(*) INTO head FROM (SELECT sum(o.df) OVER (ORDER BY o.at) AS reads FROM unnest(often[:rare]) WITH ORDINALITY AS o (df, at)) x
      WHERE x.reads <= 6 * cardinality(ids);
    SELECT coalesce(sum(w), 0) INTO rest FROM unnest(weights[head + 1:rare]) w;
    SELECT sum(w) INTO dense FROM unnest(weights[rare + 1:]) w;
    IF dense > 0 THEN
      scale := (1023 - cardinality(terms)) / dense;
      sums := nodeai.all_sums(base, idx, terms[rare + 1:], weights[rare + 1:], scale, flat, steep);
    END IF;
    ids := ARRAY(SELECT x.id FROM unnest(ids) AS x (id) ORDER BY x.id);
    SELECT array_agg(y.id ORDER BY y.upper DESC), array_agg(y.upper ORDER BY y.upper DESC) INTO ids, uppers FROM (
      SELECT x.id, coalesce(s.gain, 0) + rest
          + coalesce(CASE WHEN c.number < settled THEN nodeai.sum_at(sums, c.number) / scale ELSE dense END, 0) AS upper
        FROM unnest(ids) AS x (id) LEFT JOIN nodeai.chunk_numbers c ON c.chunk_id = x.id LEFT JOIN (
          SELECT t.chunk_id, sum(a.weight * t.frequency / (t.frequency + flat + steep * t.length)) AS gain
          FROM unnest(terms[:head], weights[:head]) AS a (term, weight)
            JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term
          WHERE nodeai.is_among(t.chunk_id, ids) GROUP BY t.chunk_id) s ON s.chunk_id = x.id) y
      WHERE y.upper > 0;
  END IF;
  SELECT array_agg(s.chunk_id), array_agg(s.score), (array_agg(s.score ORDER BY s.score DESC))[most] INTO scored, scores, least_score
    FROM nodeai.scores_of(base, idx, ids[:2 * most], terms, weights, flat, steep) s;
  RETURN QUERY SELECT x.chunk_id, x.score FROM (
      SELECT k.chunk_id, k.score FROM unnest(scored, scores) AS k (chunk_id, score)
      UNION ALL SELECT s.chunk_id, s.score FROM nodeai.scores_of(base, idx,
        ARRAY(SELECT r.id FROM unnest(ids[2 * most + 1:], uppers[2 * most + 1:]) AS r (id, upper) WHERE r.upper >= coalesce(least_score, 0) - 1e-9),
        terms, weights, flat, steep) s) x
    ORDER BY 2 DESC, 1 LIMIT most;
END
$$;
SELECT nodeai.expose('nodeai.best_of_chunks(uuid, integer, uuid[], text[], double precision[], bigint[], integer, integer, integer, double precision, double precision)', '{}');

-- As in 070, with `f`, `allowed` in order, arguments as in `best_of_chunks`, and no case of its own for few chunks. A posting adds
-- weight * frequency / (frequency + flat + steep * length).
CREATE FUNCTION nodeai.best_by_postings(base uuid, idx integer, terms text[], weights double precision[], often bigint[], allowed uuid[],
  f nodeai.document_filter, most integer, flat double precision, steep double precision)
RETURNS TABLE (chunk_id uuid, score double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_custom_plan
  SET work_mem = '32MB' AS $$
#variable_conflict use_column
DECLARE
  reach bigint := greatest(20 * most, 1000);
  needed double precision;
  edges double precision[];
  bounds double precision[];
  unread double precision;
  least_score double precision;
  ids uuid[];
  uppers double precision[];
  place integer;
BEGIN
  WHILE ids IS NULL LOOP
    LOOP
      SELECT e.edges, e.bounds, (SELECT sum(x) FROM unnest(e.bounds) x) INTO edges, bounds, unread
        FROM nodeai.term_edges(base, idx, terms, weights, often, reach, 2 * most, flat, steep) e;
      -- As measured: with more left unread, more is kept than reading costs. What one term leaves is looked up at once.
      EXIT WHEN least_score IS NULL
        OR unread <= least_score * CASE WHEN cardinality(array_remove(bounds, 0::double precision)) > 1 THEN 0.85 ELSE 0.95 END;
      reach := 2 * reach;
    END LOOP;
    -- Nearly all that is read is in one list only, and far down: by a score that is known it is dropped where it is summed.
    needed := coalesce(least_score - unread - 1e-9, '-infinity');
    WITH seen AS MATERIALIZED (
      -- What is known of a score beyond what any other chunk may have.
      SELECT t.chunk_id, sum(a.weight * t.frequency / (t.frequency + flat + steep * t.length) - a.bound) AS gain
      FROM unnest(terms, weights, edges, bounds) AS a (term, weight, edge, bound)
        JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term
          AND t.frequency::real / (t.length + 64) > a.edge
      GROUP BY t.chunk_id
      HAVING sum(a.weight * t.frequency / (t.frequency + flat + steep * t.length) - a.bound) >= needed
    ), first AS MATERIALIZED (
      SELECT x.chunk_id FROM (SELECT s.chunk_id FROM seen s ORDER BY s.gain DESC) x
      WHERE allowed IS NULL AND f IS NULL
        OR (SELECT (allowed IS NULL OR nodeai.is_among(d.id, allowed)) AND (f IS NULL OR nodeai.meets(d.access, d.metadata, f))
          FROM public.chunks c JOIN public.documents d ON d.id = c.document_id
          WHERE c.knowledge_base_id = base AND c.index_version = idx AND c.id = x.chunk_id)
      LIMIT 2 * most
    ), last AS MATERIALIZED (
      SELECT o.score FROM first f CROSS JOIN LATERAL (
        SELECT sum(a.weight * t.frequency / (t.frequency + flat + steep * t.length)) AS score
        FROM unnest(terms, weights) AS a (term, weight)
          JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term AND t.chunk_id = f.chunk_id) o
      ORDER BY o.score DESC OFFSET most - 1 LIMIT 1
    )
    SELECT greatest(least_score, (SELECT l.score FROM last l)), array_agg(x.chunk_id), array_agg(x.gain + unread)
      INTO least_score, ids, uppers FROM seen x
      WHERE x.gain + unread >= coalesce((SELECT l.score FROM last l), 0) - 1e-9
        AND (unread = 0 OR unread < greatest(least_score, (SELECT l.score FROM last l)) - 1e-9);
    EXIT WHEN unread = 0 OR least_score > unread + 1e-9 AND cardinality(ids) <= 200 * most;
    reach := reach * CASE WHEN least_score IS NULL THEN 4 ELSE 2 END;
    ids := NULL;
  END LOOP;
  -- What is kept is looked up term by term, the heaviest first, and loses what cannot be among the best any more.
  FOR place IN SELECT u.at::integer FROM unnest(bounds) WITH ORDINALITY AS u (bound, at) WHERE u.bound > 0 ORDER BY u.bound DESC LOOP
    EXIT WHEN cardinality(ids) <= 4 * most;
    SELECT array_agg(x.id), array_agg(x.upper) INTO ids, uppers FROM (
      SELECT c.id, c.upper + CASE WHEN t.frequency::real / (t.length + 64) > edges[place] THEN 0
        ELSE coalesce(weights[place] * t.frequency / (t.frequency + flat + steep * t.length), 0) - bounds[place] END AS upper
      FROM unnest(ids, uppers) AS c (id, upper) LEFT JOIN public.chunk_terms t
        ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = terms[place] AND t.chunk_id = c.id) x
    WHERE x.upper >= least_score - 1e-9;
  END LOOP;
  -- Each score is summed in the same order, however its chunk was found: equal ones are equal.
  RETURN QUERY
    SELECT x.id, o.score FROM unnest(ids) AS x (id) CROSS JOIN LATERAL (
      SELECT sum(a.weight * t.frequency / (t.frequency + flat + steep * t.length) ORDER BY a.at) AS score
      FROM unnest(terms, weights) WITH ORDINALITY AS a (term, weight, at)
        JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term AND t.chunk_id = x.id) o
    WHERE o.score > 0 AND (allowed IS NULL AND f IS NULL
      OR (SELECT (allowed IS NULL OR nodeai.is_among(d.id, allowed)) AND (f IS NULL OR nodeai.meets(d.access, d.metadata, f))
        FROM public.chunks c JOIN public.documents d ON d.id = c.document_id
        WHERE c.knowledge_base_id = base AND c.index_version = idx AND c.id = x.id))
    ORDER BY 2 DESC, 1 LIMIT most;
END
$$;
SELECT nodeai.expose('nodeai.best_by_postings(uuid, integer, text[], double precision[], bigint[], uuid[], nodeai.document_filter, integer, double precision, double precision)', '{}');

-- As in 051, with `f`, and `allowed` in order.
CREATE FUNCTION nodeai.near_by_graph(base uuid, idx integer, t nodeai.vector_tables, allowed uuid[], f nodeai.document_filter, question text,
  most integer)
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
       WHERE ($3 IS NULL OR nodeai.is_among(v.document_id, $3))
         AND ($6 IS NULL OR (SELECT nodeai.meets(d.access, d.metadata, $6) FROM public.documents d WHERE d.id = v.document_id))
         AND EXISTS (SELECT FROM nodeai.chunk_codes x WHERE x.chunk_id = v.chunk_id AND x.knowledge_base_id = $4 AND x.index_version = $5)
       ORDER BY v.embedding OPERATOR(%2$s.<=>) $1::%2$s.halfvec(%3$s) LIMIT $2) x', t.relation, home, t.dimensions)
    INTO ids USING question, most, allowed, base, idx, f;
  RETURN ids;
EXCEPTION
  -- The extension or the table has gone since, or the question has another length.
  WHEN undefined_table OR undefined_column OR undefined_object OR undefined_function OR data_exception OR undefined_file THEN
    RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.near_by_graph(uuid, integer, nodeai.vector_tables, uuid[], nodeai.document_filter, text, integer)', '{}');

-- As in 051, with `f`.
CREATE FUNCTION nodeai.near_by_codes(base uuid, idx integer, since bigint, allowed uuid[], f nodeai.document_filter, code jsonb,
  coarse integer, most integer)
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
      AND (f IS NULL OR (SELECT nodeai.meets(d.access, d.metadata, f) FROM public.documents d WHERE d.id = x.document_id))
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
SELECT nodeai.expose('nodeai.near_by_codes(uuid, integer, bigint, uuid[], nodeai.document_filter, jsonb, integer, integer)', '{}');

-- Chunks as a search shows them: with their text, what they are part of, and, where asked for, their vector and what is around them: their
-- parent, or so many chunks before and after.
CREATE FUNCTION nodeai.chunks_shown(idx integer, ids uuid[], embeddings boolean, expand text, around integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
  RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'document_id', c.document_id, 'number', c.number,
      'start', c.start_offset, 'end', c.end_offset, 'content', c.content, 'metadata', d.metadata || c.metadata,
      'title', d.title, 'source_uri', d.source_uri, 'source_kind', d.source_kind,
      'embedding', CASE WHEN embeddings THEN replace(encode(c.embedding, 'base64'), E'\n', '') END,
      'expanded', CASE expand
        WHEN 'parent' THEN (SELECT jsonb_build_object('start', c.parent_start, 'end', c.parent_end,
          'content', substr(d.content, c.parent_start + 1, c.parent_end - c.parent_start)) WHERE c.parent_start IS NOT NULL)
        WHEN 'window' THEN (SELECT jsonb_build_object('start', w.low, 'end', w.high, 'content', substr(d.content, w.low + 1, w.high - w.low))
          FROM (SELECT min(o.start_offset) AS low, max(o.end_offset) AS high FROM public.chunks o
            WHERE o.document_id = c.document_id AND o.index_version = idx
              AND o.number BETWEEN c.number - around AND c.number + around) w) END)), '[]')
    FROM public.chunks c JOIN public.documents d ON d.id = c.document_id WHERE c.id = ANY (ids));
END
$$;
SELECT nodeai.expose('nodeai.chunks_shown(integer, uuid[], boolean, text, integer)', '{}');

-- As in 063. Where the condition is met by an eighth of the chunks or more, as a sample says, candidates are asked.
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
  listed jsonb := nullif(p -> 'documents', 'null');
  restricted boolean;
  -- Which documents are meant: these, or whatever meets this when it is asked; nothing of either for all.
  allowed uuid[];
  meant nodeai.document_filter;
  within bigint;
  code jsonb := nullif(p -> 'code', 'null');
  path text;
  found uuid[];
  latest bigint;
  lexical jsonb := '[]';
  vector jsonb := '[]';
  worded uuid[];
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
  IF restricted OR p ->> 'filter' IS NOT NULL OR listed IS NOT NULL THEN
    meant := ROW(CASE WHEN restricted THEN coalesce(labels, '{}') END, (p ->> 'filter')::jsonpath);
    within := CASE WHEN listed IS NULL THEN n * nodeai.share_that_meets(k.id, idx, n, meant) END;
    IF within IS NULL OR within < n / 8 THEN
      SELECT m.ids, m.chunks INTO allowed, within FROM nodeai.documents_that_meet(k.id, org, meant, listed) m;
      meant := NULL;
    END IF;
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
            AND t.chunk_id = x.chunk_id) END)) ORDER BY x.score DESC, x.chunk_id), '[]'), array_agg(x.chunk_id)
      INTO lexical, worded FROM nodeai.best_by_terms(k.id, idx, terms, allowed, meant, most, n, mean, k1, b) x;
  END IF;
  IF code IS NOT NULL THEN
    -- Two of a hundred, as measured (shared/knowledge/src/vector.rs).
    coarse := coalesce((p ->> 'coarse')::integer, greatest(2000, coalesce(n, 0) / 50));
    SELECT * INTO graph FROM nodeai.vector_tables x WHERE x.knowledge_base_id = k.id AND x.index_version = idx;
    IF graph.built AND within > greatest(2000, n / 50) AND NOT coalesce((p ->> 'exact')::boolean, false) THEN
      -- The graph's distances are those of halves: a few more than are wanted are scored exactly.
      found := nodeai.near_by_graph(k.id, idx, graph, allowed, meant, p ->> 'vector', most + 10);
    END IF;
    IF cardinality(found) = most + 10 THEN
      path := 'hnsw';
      SELECT x.serial INTO latest FROM nodeai.chunk_codes x WHERE x.knowledge_base_id = k.id AND x.index_version = idx
        ORDER BY x.serial DESC LIMIT 1;
      IF latest > graph.settled_to THEN
        found := found || nodeai.near_by_codes(k.id, idx, graph.settled_to, allowed, meant, code, coarse, near);
      END IF;
    ELSE
      path := 'exact';
      IF NOT meant IS NULL THEN
        -- All are scanned.
        SELECT m.ids INTO allowed FROM nodeai.documents_that_meet(k.id, org, meant, listed) m;
      END IF;
      found := nodeai.near_by_codes(k.id, idx, -1, allowed, NULL, code, coarse, near);
    END IF;
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'embedding', replace(encode(c.embedding, 'base64'), E'\n', ''))
        ORDER BY x.at), '[]')
      INTO vector FROM (SELECT f.id, min(f.at) AS at FROM unnest(found) WITH ORDINALITY AS f (id, at) GROUP BY f.id) x
        JOIN public.chunks c ON c.id = x.id;
  END IF;
  RETURN jsonb_build_object('index', idx, 'settings', s, 'chunk_count', n, 'path', path, 'lexical', lexical, 'vector', vector,
    'chunks', nodeai.chunks_shown(idx, found || worded, (p ->> 'embeddings')::boolean, p ->> 'expand', (p ->> 'window')::integer));
END
$$;
