-- Lexical search that reads the heads of postings only. Results are those of before: the same chunks, scores and order.
--
-- A term that half of a base has is read for each of these chunks, and then most of them are not among the best. What a posting adds to
-- a score grows with how often the term is there and falls with how long the chunk is, so postings in the order of
-- `frequency / (length + 64)` have the best first, nearly, for any k1, b and mean length; and whatever these are, one number bounds all
-- that comes after a place (Fagin, Lotem, Naor, "Optimal aggregation algorithms for middleware", 2003). The order serves speed alone: 64
-- is a third of a usual chunk's words, which is what BM25 adds to a length with b = 0.75.

CREATE INDEX chunk_terms_impact_idx ON public.chunk_terms
  (knowledge_base_id, index_version, term, (frequency::real / (length + 64)) DESC) INCLUDE (chunk_id, frequency, length);

-- The most that a posting adds, as a part of its term's weight, when frequency / (length + 64) is at most `edge`: at the shortest chunk
-- that may have so many, where the bound on the length takes over (`t`), or for ever longer ones.
CREATE FUNCTION nodeai.most_below(edge double precision, flat double precision, steep double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (SELECT greatest(1 / (1 + steep / edge), x.t / (x.t + flat + steep * greatest(1, x.t / edge - 64)))
    FROM (SELECT greatest(1, 64 * edge / (1 - edge)) AS t) x);
SELECT nodeai.expose('nodeai.most_below(double precision, double precision, double precision)', '{}');

-- Where to stop reading each term: after about `reach` postings, of lighter terms after fewer, or not at all (0) where that leaves little.
-- "bounds": the most that a posting beyond adds.
CREATE FUNCTION nodeai.term_edges(base uuid, idx integer, terms text[], weights double precision[], often bigint[], reach bigint,
  fewest bigint, flat double precision, steep double precision, OUT edges double precision[], OUT bounds double precision[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  WITH wanted AS (
    SELECT u.term, u.weight, u.df, u.at,
      greatest(fewest, reach * u.weight / coalesce(max(u.weight) FILTER (WHERE u.df > reach) OVER (), u.weight))::bigint AS many
    FROM unnest(terms, weights, often) WITH ORDINALITY AS u (term, weight, df, at)
  ), ends AS MATERIALIZED (
    SELECT w.at, w.weight, CASE WHEN w.df <= 1.5 * w.many THEN 0 ELSE coalesce((
      SELECT t.frequency::real / (t.length + 64) FROM public.chunk_terms t
      WHERE t.knowledge_base_id = base AND t.index_version = idx AND t.term = w.term
      ORDER BY t.frequency::real / (t.length + 64) DESC OFFSET w.many LIMIT 1), 0) END AS edge
    FROM wanted w
  )
  SELECT array_agg(e.edge ORDER BY e.at),
      array_agg(CASE WHEN e.edge > 0 THEN e.weight * nodeai.most_below(e.edge, flat, steep) ELSE 0 END ORDER BY e.at)
    INTO edges, bounds FROM ends e;
END
$$;
SELECT nodeai.expose('nodeai.term_edges(uuid, integer, text[], double precision[], bigint[], bigint, bigint, double precision, double precision)', '{}');

-- As in 051. Reads the heads of the terms' postings (`seen`), scores the best of these whole, and so knows a score that the last of the
-- best has at least; keeps what can still reach it by what it has not been seen to have; reads on while something that was not seen at all
-- could, or too much is kept. Documents are asked for when a chunk is among the best, unless they are few: then theirs are scored.
CREATE OR REPLACE FUNCTION nodeai.best_by_terms(base uuid, idx integer, asked jsonb, allowed uuid[], most integer, n bigint,
  mean double precision, k1 double precision, b double precision)
RETURNS TABLE (chunk_id uuid, score double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_custom_plan
  SET work_mem = '32MB' AS $$
#variable_conflict use_column
DECLARE
  terms text[];
  weights double precision[];
  often bigint[];
  -- A posting adds weight * frequency / (frequency + flat + steep * length).
  flat double precision := k1 * (1 - b);
  steep double precision := k1 * b / nullif(mean, 0);
  -- Chunks of few documents are scored one by one: as many as it takes to find `most` of them among all.
  few integer := sqrt(most::double precision * n);
  reach bigint := greatest(20 * most, 1000);
  edges double precision[];
  bounds double precision[];
  unread double precision;
  least_score double precision;
  ids uuid[];
  uppers double precision[];
  place integer;
BEGIN
  SELECT array_agg(x.term ORDER BY x.df, x.term), array_agg(x.weight ORDER BY x.df, x.term), array_agg(x.df ORDER BY x.df, x.term)
    INTO terms, weights, often FROM (
      SELECT t.key AS term, f.document_frequency::bigint AS df,
        t.value::double precision * ln(1 + (n - f.document_frequency + 0.5) / (f.document_frequency + 0.5)) AS weight
      FROM jsonb_each_text(asked) t JOIN public.term_stats f
        ON f.knowledge_base_id = base AND f.index_version = idx AND f.term = t.key) x;
  IF terms IS NULL THEN
    RETURN;
  END IF;
  IF cardinality(allowed) <= few THEN
    ids := ARRAY(SELECT c.id FROM unnest(allowed) AS d (id) CROSS JOIN LATERAL (
      SELECT o.id FROM public.chunks o WHERE o.document_id = d.id AND o.index_version = idx OFFSET 0) c LIMIT few + 1);
    IF cardinality(ids) <= few THEN
      allowed := NULL;
    ELSE
      ids := NULL;
    END IF;
  END IF;
  WHILE ids IS NULL LOOP
    LOOP
      SELECT e.edges, e.bounds, (SELECT sum(x) FROM unnest(e.bounds) x) INTO edges, bounds, unread
        FROM nodeai.term_edges(base, idx, terms, weights, often, reach, 2 * most, flat, steep) e;
      -- As measured: with more left unread, more is kept than reading costs. What one term leaves is looked up at once.
      EXIT WHEN least_score IS NULL
        OR unread <= least_score * CASE WHEN cardinality(array_remove(bounds, 0::double precision)) > 1 THEN 0.75 ELSE 0.95 END;
      reach := 2 * reach;
    END LOOP;
    WITH seen AS MATERIALIZED (
      SELECT t.chunk_id, sum(a.weight * t.frequency / (t.frequency + flat + steep * t.length)) AS score, sum(a.bound) AS known
      FROM unnest(terms, weights, edges, bounds) AS a (term, weight, edge, bound)
        JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term
          AND t.frequency::real / (t.length + 64) > a.edge
      GROUP BY t.chunk_id
    ), first AS MATERIALIZED (
      SELECT x.chunk_id FROM (SELECT s.chunk_id FROM seen s ORDER BY s.score DESC) x
      WHERE allowed IS NULL OR (SELECT c.document_id FROM public.chunks c
        WHERE c.knowledge_base_id = base AND c.index_version = idx AND c.id = x.chunk_id) = ANY (allowed)
      LIMIT 2 * most
    ), last AS MATERIALIZED (
      SELECT o.score FROM first f CROSS JOIN LATERAL (
        SELECT sum(a.weight * t.frequency / (t.frequency + flat + steep * t.length)) AS score
        FROM unnest(terms, weights) AS a (term, weight)
          JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term AND t.chunk_id = f.chunk_id) o
      ORDER BY o.score DESC OFFSET most - 1 LIMIT 1
    )
    SELECT (SELECT l.score FROM last l), array_agg(x.chunk_id), array_agg(x.score - x.known + unread) INTO least_score, ids, uppers
      FROM seen x
      WHERE x.score - x.known + unread >= coalesce((SELECT l.score FROM last l), 0) - 1e-9
        AND (unread = 0 OR unread < (SELECT l.score FROM last l) - 1e-9);
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
    WHERE o.score > 0 AND (allowed IS NULL OR (SELECT c.document_id FROM public.chunks c
      WHERE c.knowledge_base_id = base AND c.index_version = idx AND c.id = x.id) = ANY (allowed))
    ORDER BY 2 DESC, 1 LIMIT most;
END
$$;
