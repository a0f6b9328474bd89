-- Search by words that many chunks have, by bits instead of rows. Results are those of before: the same chunks, scores and order.
--
-- A term that one chunk in 64 or more has is dense. For dense terms a block of chunks has planes: strings of bits, one bit per chunk.
-- A term's postings in a block are ranked by what they add to a score; plane 1 is set for all of them, plane 2 for the better half,
-- plane 3 for the better quarter, up to plane 7, and beside them stand the frequencies and lengths from which a level's greatest addition
-- follows for any k1, b and mean length. So an upper bound of every chunk's score is a sum of numbers whose bits lie across such strings,
-- and adders over whole strings make it (bit-sliced arithmetic: O'Neil and Quass, "Improved query performance with variant indexes",
-- SIGMOD 1997; Rinfret, O'Neil and O'Neil, "Bit-sliced index arithmetic", SIGMOD 2001), for less than reading a row for each posting.
-- Chunks whose bound reaches what the best are known to have are scored by their postings, exactly.
--
-- Publishing does not wait for planes. Chunks of an index are numbered in the order in which they come, blocks are made of chunks up to a
-- number when drainers have nothing else to do, and a search scores what came after that number by rows. A number is not given again
-- while there are blocks, so that bits of chunks that are gone lead nowhere.

ALTER TABLE public.corpus_stats ADD COLUMN numbered integer NOT NULL DEFAULT 0;

CREATE TABLE nodeai.chunk_numbers (
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL,
  index_version integer NOT NULL,
  number integer NOT NULL,
  chunk_id uuid NOT NULL CONSTRAINT chunk_numbers_chunk REFERENCES public.chunks (id) ON DELETE CASCADE,
  document_id uuid NOT NULL,
  PRIMARY KEY (knowledge_base_id, index_version, number) INCLUDE (chunk_id, document_id)
);
CREATE UNIQUE INDEX chunk_numbers_chunk_idx ON nodeai.chunk_numbers (chunk_id);
SELECT nodeai.lock_table('nodeai.chunk_numbers');

-- Which chunks have planes: numbers from "first" on, "size" of them. The blocks of an index follow each other without a gap.
CREATE TABLE nodeai.term_blocks (
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL,
  index_version integer NOT NULL,
  first integer NOT NULL,
  size integer NOT NULL,
  PRIMARY KEY (knowledge_base_id, index_version, first),
  CONSTRAINT term_blocks_index FOREIGN KEY (knowledge_base_id, index_version)
    REFERENCES public.knowledge_indexes (knowledge_base_id, number) ON DELETE CASCADE
);
SELECT nodeai.lock_table('nodeai.term_blocks');

CREATE TABLE nodeai.term_planes (
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL,
  index_version integer NOT NULL,
  first integer NOT NULL,
  term text NOT NULL,
  -- Of each level, each frequency with the least length that goes with it.
  levels integer[] NOT NULL,
  frequencies integer[] NOT NULL,
  lengths integer[] NOT NULL,
  planes bit varying[] NOT NULL,
  PRIMARY KEY (knowledge_base_id, index_version, term, first),
  CONSTRAINT term_planes_block FOREIGN KEY (knowledge_base_id, index_version, first)
    REFERENCES nodeai.term_blocks (knowledge_base_id, index_version, first) ON DELETE CASCADE
);
-- Compressed they would be little smaller, and reading them is what they are for.
ALTER TABLE nodeai.term_planes ALTER COLUMN planes SET STORAGE EXTERNAL;
CREATE INDEX term_planes_block_idx ON nodeai.term_planes (knowledge_base_id, index_version, first);
SELECT nodeai.lock_table('nodeai.term_planes');

-- Numbers --------------------------------------------------------------------------------------------------------------

-- New chunks are numbered as they come; their index's statistics are held by that until the end of the transaction.
CREATE FUNCTION nodeai.number_chunks() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  WITH counted AS (
    SELECT f.knowledge_base_id AS base, f.index_version AS idx, count(*)::integer AS n FROM fresh f GROUP BY 1, 2
  ), moved AS (
    UPDATE public.corpus_stats s SET numbered = s.numbered + c.n FROM counted c
      WHERE s.knowledge_base_id = c.base AND s.index_version = c.idx RETURNING c.base, c.idx, s.numbered - c.n AS first
  )
  INSERT INTO nodeai.chunk_numbers (org_id, knowledge_base_id, index_version, number, chunk_id, document_id)
    SELECT f.org_id, m.base, m.idx, m.first - 1 + row_number() OVER (PARTITION BY m.base, m.idx ORDER BY f.document_id, f.number),
      f.id, f.document_id
    FROM fresh f JOIN moved m ON m.base = f.knowledge_base_id AND m.idx = f.index_version;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.number_chunks()', '{}');
CREATE TRIGGER number_chunks AFTER INSERT ON public.chunks REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION nodeai.number_chunks();

INSERT INTO nodeai.chunk_numbers (org_id, knowledge_base_id, index_version, number, chunk_id, document_id)
  SELECT c.org_id, c.knowledge_base_id, c.index_version,
    row_number() OVER (PARTITION BY c.knowledge_base_id, c.index_version ORDER BY c.document_id, c.number) - 1, c.id, c.document_id
  FROM public.chunks c JOIN public.corpus_stats s ON s.knowledge_base_id = c.knowledge_base_id AND s.index_version = c.index_version;
UPDATE public.corpus_stats s SET numbered = x.n
  FROM (SELECT c.knowledge_base_id AS base, c.index_version AS idx, count(*) AS n FROM nodeai.chunk_numbers c GROUP BY 1, 2) x
  WHERE s.knowledge_base_id = x.base AND s.index_version = x.idx;

-- Gives the chunks of an index new numbers, without those of chunks that are gone. Its blocks are made anew then.
CREATE FUNCTION nodeai.renumber_chunks(base uuid, idx integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  n integer;
BEGIN
  PERFORM nodeai.hold_index(base, idx);
  DELETE FROM nodeai.term_blocks b WHERE b.knowledge_base_id = base AND b.index_version = idx;
  -- Below zero first: each number is somebody's until all have changed.
  UPDATE nodeai.chunk_numbers c SET number = -x.rank
    FROM (SELECT o.chunk_id, row_number() OVER (ORDER BY o.number) AS rank FROM nodeai.chunk_numbers o
      WHERE o.knowledge_base_id = base AND o.index_version = idx) x
    WHERE c.chunk_id = x.chunk_id;
  UPDATE nodeai.chunk_numbers c SET number = -1 - c.number WHERE c.knowledge_base_id = base AND c.index_version = idx;
  GET DIAGNOSTICS n = ROW_COUNT;
  UPDATE public.corpus_stats s SET numbered = n WHERE s.knowledge_base_id = base AND s.index_version = idx;
END
$$;
SELECT nodeai.expose('nodeai.renumber_chunks(uuid, integer)', '{}');

-- Blocks ---------------------------------------------------------------------------------------------------------------

-- Makes planes of `terms` for a block.
CREATE FUNCTION nodeai.make_planes(base uuid, idx integer, start integer, wide integer, made text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_custom_plan
  SET work_mem = '64MB' SET enable_seqscan = off AS $$
BEGIN
  WITH postings AS MATERIALIZED (
    SELECT x.term, x.place, x.frequency, x.length, least(7, floor(ln(x.n::double precision / x.rank) / ln(2::double precision) + 1e-9) + 1)::integer AS level
    FROM (
      SELECT t.term, c.number - start AS place, t.frequency, t.length, count(*) OVER (PARTITION BY t.term) AS n,
        row_number() OVER (PARTITION BY t.term ORDER BY t.frequency::real / (t.length + 64) DESC) AS rank
      FROM nodeai.chunk_numbers c JOIN public.chunk_terms t ON t.chunk_id = c.chunk_id
      WHERE c.knowledge_base_id = base AND c.index_version = idx AND c.number >= start AND c.number < start + wide
        AND t.term = ANY (made)) x
  ), words AS (
    -- 64 chunks each.
    SELECT p.term, p.place >> 6 AS at, bit_or(b.mask) AS w1, bit_or(b.mask) FILTER (WHERE p.level >= 2) AS w2,
      bit_or(b.mask) FILTER (WHERE p.level >= 3) AS w3, bit_or(b.mask) FILTER (WHERE p.level >= 4) AS w4,
      bit_or(b.mask) FILTER (WHERE p.level >= 5) AS w5, bit_or(b.mask) FILTER (WHERE p.level >= 6) AS w6,
      bit_or(b.mask) FILTER (WHERE p.level >= 7) AS w7
    FROM postings p CROSS JOIN LATERAL (SELECT 1::bigint << (63 - (p.place & 63)) AS mask) b GROUP BY 1, 2
  ), planes AS (
    SELECT u.term, ARRAY(SELECT ('x' || encode(string_agg(int8send(coalesce(CASE l.level WHEN 1 THEN w.w1 WHEN 2 THEN w.w2 WHEN 3 THEN w.w3
        WHEN 4 THEN w.w4 WHEN 5 THEN w.w5 WHEN 6 THEN w.w6 ELSE w.w7 END, 0)), '' ORDER BY g.at), 'hex'))::varbit
      FROM generate_series(1, 7) AS l (level) CROSS JOIN generate_series(0, wide / 64 - 1) AS g (at)
        LEFT JOIN unnest(u.ats, u.w1, u.w2, u.w3, u.w4, u.w5, u.w6, u.w7) AS w (at, w1, w2, w3, w4, w5, w6, w7) ON w.at = g.at
      GROUP BY l.level ORDER BY l.level) AS planes
    FROM (SELECT x.term, array_agg(x.at) AS ats, array_agg(x.w1) AS w1, array_agg(x.w2) AS w2, array_agg(x.w3) AS w3,
      array_agg(x.w4) AS w4, array_agg(x.w5) AS w5, array_agg(x.w6) AS w6, array_agg(x.w7) AS w7 FROM words x GROUP BY x.term) u
  ), bounds AS (
    SELECT y.term, array_agg(y.level) AS levels, array_agg(y.frequency) AS frequencies, array_agg(y.length) AS lengths
    FROM (SELECT p.term, p.level, p.frequency, min(p.length) AS length FROM postings p GROUP BY 1, 2, 3) y GROUP BY y.term
  )
  INSERT INTO nodeai.term_planes (org_id, knowledge_base_id, index_version, first, term, levels, frequencies, lengths, planes)
    SELECT b.org_id, base, idx, start, a.term, coalesce(o.levels, '{}'), coalesce(o.frequencies, '{}'), coalesce(o.lengths, '{}'),
      -- That a term is not in the block has to be known, too.
      coalesce(p.planes, array_fill(repeat('0', wide)::varbit, ARRAY[7]))
    FROM unnest(made) AS a (term) JOIN nodeai.term_blocks b ON b.knowledge_base_id = base AND b.index_version = idx
        AND b.first = start
      LEFT JOIN planes p ON p.term = a.term LEFT JOIN bounds o ON o.term = a.term
    ON CONFLICT DO NOTHING;
END
$$;
SELECT nodeai.expose('nodeai.make_planes(uuid, integer, integer, integer, text[])', '{}');

-- Makes the blocks of an index that are missing, until the time is over: of 4,096 chunks where there are as many, which takes a second,
-- then of 1,024, of 256 and of 64, so that each chunk is put into a block four times. Returns whether all are there; nothing where somebody else is at it.
CREATE FUNCTION nodeai.make_term_blocks(base uuid, idx integer, until timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  s public.corpus_stats;
  dense text[];
  at integer := 0;
  wide integer;
  done boolean := true;
  one record;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('nodeai.terms/' || base || '/' || idx, 0)) THEN
    RETURN false;
  END IF;
  SELECT * INTO s FROM public.corpus_stats c WHERE c.knowledge_base_id = base AND c.index_version = idx;
  IF s.numbered > 2 * s.chunk_count + 4096 THEN
    PERFORM nodeai.renumber_chunks(base, idx);
    SELECT * INTO s FROM public.corpus_stats c WHERE c.knowledge_base_id = base AND c.index_version = idx;
  END IF;
  dense := ARRAY(SELECT f.term FROM public.term_stats f
    WHERE f.knowledge_base_id = base AND f.index_version = idx AND f.document_frequency >= greatest(s.chunk_count / 64, 1));
  WHILE at + 64 <= s.numbered LOOP
    wide := CASE WHEN at % 4096 = 0 AND at + 4096 <= s.numbered THEN 4096 WHEN at % 1024 = 0 AND at + 1024 <= s.numbered THEN 1024
      WHEN at % 256 = 0 AND at + 256 <= s.numbered THEN 256 ELSE 64 END;
    IF NOT EXISTS (SELECT FROM nodeai.term_blocks b WHERE b.knowledge_base_id = base AND b.index_version = idx AND b.first = at AND b.size = wide) THEN
      IF clock_timestamp() >= until THEN
        done := false;
        EXIT;
      END IF;
      DELETE FROM nodeai.term_blocks b WHERE b.knowledge_base_id = base AND b.index_version = idx AND b.first >= at AND b.first < at + wide;
      INSERT INTO nodeai.term_blocks (org_id, knowledge_base_id, index_version, first, size) VALUES (s.org_id, base, idx, at, wide);
      PERFORM nodeai.make_planes(base, idx, at, wide, dense);
    END IF;
    at := at + wide;
  END LOOP;
  -- What has become dense since a block was made is added to it.
  FOR one IN SELECT b.first, b.size, array_agg(f.term) AS terms FROM public.term_stats f CROSS JOIN nodeai.term_blocks b
      WHERE f.knowledge_base_id = base AND f.index_version = idx AND f.document_frequency >= greatest(s.chunk_count / 48, 1)
        AND b.knowledge_base_id = base AND b.index_version = idx
        AND NOT EXISTS (SELECT FROM nodeai.term_planes p WHERE p.knowledge_base_id = base AND p.index_version = idx AND p.term = f.term
          AND p.first = b.first)
      GROUP BY 1, 2 LOOP
    IF clock_timestamp() >= until THEN
      RETURN false;
    END IF;
    PERFORM nodeai.make_planes(base, idx, one.first, one.size, one.terms);
  END LOOP;
  RETURN done;
END
$$;
SELECT nodeai.expose('nodeai.make_term_blocks(uuid, integer, timestamptz)', '{}');

-- What is to be done about dense terms now: {"least"?: from how many chunks on an index has blocks, 10,000 unless given, "time_ms"?:
-- 2,000 unless given, "org_id"?} → {"left": how many indexes wait}.
CREATE FUNCTION nodeai.settle_terms(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  least_chunks bigint := coalesce((p ->> 'least')::bigint, 10000);
  until timestamptz := clock_timestamp() + coalesce((p ->> 'time_ms')::integer, 2000) * interval '1 millisecond';
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  one record;
  waiting integer := 0;
BEGIN
  FOR one IN SELECT c.knowledge_base_id AS base, c.index_version AS idx FROM public.corpus_stats c
      WHERE (org IS NULL OR c.org_id = org) AND c.chunk_count >= least_chunks
        AND c.numbered - (SELECT coalesce(max(b.first + b.size), 0) FROM nodeai.term_blocks b
          WHERE b.knowledge_base_id = c.knowledge_base_id AND b.index_version = c.index_version) >= 64 LIMIT 100 LOOP
    IF clock_timestamp() >= until OR NOT nodeai.make_term_blocks(one.base, one.idx, until) THEN
      waiting := waiting + 1;
    END IF;
  END LOOP;
  RETURN jsonb_build_object('left', waiting);
END
$$;
SELECT nodeai.expose('nodeai.settle_terms(jsonb)', '{service_role}');

-- As in 050: whoever drains and finds nothing to do does this, too. With "at_most" nothing is claimed while so many jobs of the organisation
-- are at work: {"outcome":"busy"}. A request that brings documents works on them after its answer, and a hundred such requests would leave
-- no connection to anybody else.
CREATE OR REPLACE FUNCTION public.knowledge_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  answer jsonb;
BEGIN
  IF (SELECT count(*) FROM public.knowledge_jobs j WHERE j.org_id = nullif(p ->> 'org_id', '')::uuid AND j.status = 'processing'
      AND j.lease_until >= clock_timestamp()) >= (p ->> 'at_most')::integer THEN
    RETURN '{"outcome":"busy"}';
  END IF;
  answer := nodeai.knowledge_claim_job(p);
  IF answer ->> 'outcome' = 'empty' THEN
    PERFORM nodeai.settle_vectors(p - 'lease_us'), nodeai.settle_terms(p - 'lease_us');
  END IF;
  RETURN answer;
END
$$;

-- Sums -----------------------------------------------------------------------------------------------------------------

-- Upper bounds of the scores of the chunks in the blocks from `low` to below `high` by `terms` alone, in units of 1 / `scale`: ten planes,
-- the lowest bit first. Adders keep what they carry (Wallace, "A suggestion for a fast multiplier", 1964) until the end.
CREATE FUNCTION nodeai.block_sums(base uuid, idx integer, low integer, high integer, terms text[], weights double precision[],
  scale double precision, flat double precision, steep double precision)
RETURNS bit varying[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off AS $$
DECLARE
  none bit varying := repeat('0', high - low)::varbit;
  one bit varying[] := array_fill(NULL::varbit, ARRAY[10]);
  two bit varying[] := one;
  term record;
  -- Of each block, seven.
  parts bit varying[][];
  plane bit varying;
  bounds integer[];
  more integer;
  place integer;
  added bit varying;
  half bit varying;
  carry bit varying;
BEGIN
  FOR term IN SELECT p.planes, b.bounds FROM unnest(terms, weights) AS a (term, weight)
      CROSS JOIN LATERAL (SELECT array_agg(x.planes ORDER BY x.first) AS planes FROM nodeai.term_planes x
        WHERE x.knowledge_base_id = base AND x.index_version = idx AND x.term = a.term AND x.first >= low AND x.first < high) p
      -- What a posting of each level adds at most.
      CROSS JOIN LATERAL (SELECT array_agg(coalesce(y.bound, 0) ORDER BY l.level) AS bounds FROM generate_series(1, 7) AS l (level) LEFT JOIN (
          SELECT u.level, ceil(a.weight * scale * max(u.frequency / (u.frequency + flat + steep * u.length)))::integer AS bound
          FROM nodeai.term_planes x CROSS JOIN unnest(x.levels, x.frequencies, x.lengths) AS u (level, frequency, length)
          WHERE x.knowledge_base_id = base AND x.index_version = idx AND x.term = a.term AND x.first >= low AND x.first < high
          GROUP BY u.level) y ON y.level = l.level) b LOOP
    parts := term.planes;
    bounds := term.bounds;
    FOR level IN 1..7 LOOP
      more := bounds[level];
      IF level > 1 THEN
        -- Ranks are in nearly the order of what is added; bounds must not fall.
        bounds[level] := greatest(more, bounds[level - 1]);
        more := bounds[level] - bounds[level - 1];
      END IF;
      CONTINUE WHEN more = 0;
      plane := parts[1][level];
      FOR block IN 2..array_length(parts, 1) LOOP
        plane := plane || parts[block][level];
      END LOOP;
      FOR power IN 0..9 LOOP
        CONTINUE WHEN more & (1 << power) = 0;
        added := plane;
        place := power + 1;
        WHILE place <= 10 LOOP
          IF one[place] IS NULL THEN
            one[place] := added;
            EXIT;
          ELSIF two[place] IS NULL THEN
            two[place] := added;
            EXIT;
          END IF;
          half := one[place] # two[place];
          carry := (one[place] & two[place]) | (half & added);
          one[place] := half # added;
          two[place] := NULL;
          added := carry;
          place := place + 1;
        END LOOP;
      END LOOP;
    END LOOP;
  END LOOP;
  carry := NULL;
  FOR place IN 1..10 LOOP
    added := coalesce(one[place], none);
    half := coalesce(two[place], none);
    IF carry IS NULL THEN
      one[place] := added # half;
      carry := added & half;
    ELSE
      one[place] := added # half # carry;
      carry := (added & half) | ((added # half) & carry);
    END IF;
  END LOOP;
  RETURN one;
END
$$;
SELECT nodeai.expose('nodeai.block_sums(uuid, integer, integer, integer, text[], double precision[], double precision, double precision, double precision)', '{}');

-- Which numbers, whose bits lie across `sums`, the lowest first, are `low` or more.
CREATE FUNCTION nodeai.sums_from(sums bit varying[], low integer) RETURNS bit varying
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
DECLARE
  above bit varying := sums[1] # sums[1];
  equal bit varying := ~ above;
BEGIN
  FOR place IN REVERSE cardinality(sums)..1 LOOP
    IF low & (1 << (place - 1)) = 0 THEN
      above := above | (equal & sums[place]);
      equal := equal & ~ sums[place];
    ELSE
      equal := equal & sums[place];
    END IF;
  END LOOP;
  RETURN above | equal;
END
$$;
SELECT nodeai.expose('nodeai.sums_from(bit varying[], integer)', '{}');

-- The greatest number that `many` of them reach (O'Neil and Quass); 0 where they are not so many.
CREATE FUNCTION nodeai.sum_reached(sums bit varying[], many bigint) RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
DECLARE
  above bit varying := sums[1] # sums[1];
  equal bit varying := ~ above;
  low integer := 0;
BEGIN
  FOR place IN REVERSE cardinality(sums)..1 LOOP
    IF bit_count(above | (equal & sums[place])) >= many THEN
      low := low | (1 << (place - 1));
      equal := equal & sums[place];
    ELSE
      above := above | (equal & sums[place]);
      equal := equal & ~ sums[place];
    END IF;
  END LOOP;
  RETURN low;
END
$$;
SELECT nodeai.expose('nodeai.sum_reached(bit varying[], bigint)', '{}');

-- The number at a place, from 0.
CREATE FUNCTION nodeai.sum_at(sums bit varying[], place integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN get_bit(sums[1], place) + (get_bit(sums[2], place) << 1) + (get_bit(sums[3], place) << 2) + (get_bit(sums[4], place) << 3)
    + (get_bit(sums[5], place) << 4) + (get_bit(sums[6], place) << 5) + (get_bit(sums[7], place) << 6) + (get_bit(sums[8], place) << 7)
    + (get_bit(sums[9], place) << 8) + (get_bit(sums[10], place) << 9);
SELECT nodeai.expose('nodeai.sum_at(bit varying[], integer)', '{}');

-- Where bits are set, from 0.
CREATE FUNCTION nodeai.set_bits(bits bit varying) RETURNS SETOF integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
  SELECT x.place FROM (
    SELECT (sum(length(z.zeros) + 1) OVER (ORDER BY z.at))::integer - 1 AS place, lead(true) OVER (ORDER BY z.at) AS ended
    FROM string_to_table(bits::text, '1') WITH ORDINALITY AS z (zeros, at)) x
  WHERE x.ended
$$;
SELECT nodeai.expose('nodeai.set_bits(bit varying)', '{}');

-- Scores of chunks by their postings. Each is summed in the same order, however its chunk was found: equal ones are equal.
CREATE FUNCTION nodeai.scores_of(base uuid, idx integer, ids uuid[], terms text[], weights double precision[], flat double precision,
  steep double precision)
RETURNS TABLE (chunk_id uuid, score double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT x.id, o.score FROM unnest(ids) AS x (id) CROSS JOIN LATERAL (
      SELECT sum(a.weight * t.frequency / (t.frequency + flat + steep * t.length) ORDER BY a.at) AS score
      FROM unnest(terms, weights) WITH ORDINALITY AS a (term, weight, at)
        JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term AND t.chunk_id = x.id) o
    WHERE o.score > 0;
END
$$;
SELECT nodeai.expose('nodeai.scores_of(uuid, integer, uuid[], text[], double precision[], double precision, double precision)', '{}');

-- Search ---------------------------------------------------------------------------------------------------------------

-- Whether an id is in an array that is in order. For thousands of ids `= ANY` makes a plan dear, by an estimate for each.
CREATE FUNCTION nodeai.is_among(id uuid, sorted uuid[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN sorted[width_bucket(id, sorted)] = id;
SELECT nodeai.expose('nodeai.is_among(uuid, uuid[])', '{}');

-- The chunks whose sum is `low` or more, of those in `allowed` documents (in order), with their sums.
CREATE FUNCTION nodeai.bounded_chunks(base uuid, idx integer, sums bit varying[], low integer, allowed uuid[])
RETURNS TABLE (chunk_id uuid, bound integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT c.chunk_id, nodeai.sum_at(sums, c.number) FROM nodeai.set_bits(nodeai.sums_from(sums, low)) AS n (number)
      JOIN nodeai.chunk_numbers c ON c.knowledge_base_id = base AND c.index_version = idx AND c.number = n.number
    WHERE allowed IS NULL OR nodeai.is_among(c.document_id, allowed);
END
$$;
SELECT nodeai.expose('nodeai.bounded_chunks(uuid, integer, bit varying[], integer, uuid[])', '{}');

-- Upper bounds of all chunks that are in blocks, as `block_sums` has them.
CREATE FUNCTION nodeai.all_sums(base uuid, idx integer, terms text[], weights double precision[], scale double precision,
  flat double precision, steep double precision)
RETURNS bit varying[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off AS $$
DECLARE
  run record;
  sums bit varying[];
  part bit varying[];
BEGIN
  -- Blocks are summed together while the strings stay small enough to be near.
  FOR run IN SELECT min(b.first) AS low, max(b.first + b.size) AS high FROM nodeai.term_blocks b
      WHERE b.knowledge_base_id = base AND b.index_version = idx GROUP BY b.first / 16384 ORDER BY 1 LOOP
    part := nodeai.block_sums(base, idx, run.low, run.high, terms, weights, scale, flat, steep);
    IF sums IS NULL THEN
      sums := part;
    ELSE
      FOR place IN 1..10 LOOP
        sums[place] := sums[place] || part[place];
      END LOOP;
    END IF;
  END LOOP;
  RETURN sums;
END
$$;
SELECT nodeai.expose('nodeai.all_sums(uuid, integer, text[], double precision[], double precision, double precision, double precision)', '{}');

-- The best `most` chunks by terms of which the first `rare` are read by rows and the others, the dense ones, by planes; what has a number
-- from `settled` on is in no block. Arguments are as in `best_by_terms`; a posting adds weight * frequency / (frequency + flat + steep *
-- length).
CREATE FUNCTION nodeai.best_by_planes(base uuid, idx integer, terms text[], weights double precision[], rare integer, allowed uuid[],
  most integer, settled integer, flat double precision, steep double precision)
RETURNS TABLE (chunk_id uuid, score double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off SET work_mem = '32MB' AS $$
#variable_conflict use_column
DECLARE
  dense double precision := (SELECT sum(w) FROM unnest(weights[rare + 1:]) w);
  -- Sums are below 1,024, with each term's share rounded up.
  scale double precision := (1023 - cardinality(terms)) / dense;
  sums bit varying[];
  many bigint := CASE WHEN allowed IS NULL THEN 4 ELSE 8 END * most;
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
  allowed := CASE WHEN allowed IS NOT NULL THEN ARRAY(SELECT x.id FROM unnest(allowed) AS x (id) ORDER BY x.id) END;
  SELECT array_agg(s.chunk_id ORDER BY s.gain DESC), array_agg(s.gain + dense ORDER BY s.gain DESC) INTO ids, uppers FROM (
    SELECT t.chunk_id, sum(a.weight * t.frequency / (t.frequency + flat + steep * t.length)) AS gain
    FROM unnest(terms[:rare], weights[:rare]) AS a (term, weight)
      JOIN public.chunk_terms t ON t.knowledge_base_id = base AND t.index_version = idx AND t.term = a.term
    GROUP BY t.chunk_id) s;
  IF ids IS NOT NULL THEN
    found := ARRAY(SELECT x.id FROM unnest(ids) WITH ORDINALITY AS x (id, at)
        JOIN public.chunks c ON c.knowledge_base_id = base AND c.index_version = idx AND c.id = x.id
      WHERE allowed IS NULL OR nodeai.is_among(c.document_id, allowed) ORDER BY x.at LIMIT 2 * most);
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
        FROM nodeai.bounded_chunks(base, idx, sums, low, allowed) x;
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
      found := ARRAY(SELECT x.chunk_id FROM nodeai.bounded_chunks(base, idx, sums, low, allowed) x);
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
        WHERE allowed IS NULL OR nodeai.is_among(c.document_id, allowed)
      UNION SELECT c.chunk_id FROM nodeai.chunk_numbers c WHERE c.knowledge_base_id = base AND c.index_version = idx
        AND c.number >= settled AND (allowed IS NULL OR nodeai.is_among(c.document_id, allowed)))
    EXCEPT SELECT unnest(scored));
  RETURN QUERY SELECT x.chunk_id, x.score FROM (
      SELECT k.chunk_id, k.score FROM unnest(scored, scores) AS k (chunk_id, score)
      UNION ALL SELECT s.chunk_id, s.score FROM nodeai.scores_of(base, idx, found, terms, weights, flat, steep) s) x
    ORDER BY 2 DESC, 1 LIMIT most;
END
$$;
SELECT nodeai.expose('nodeai.best_by_planes(uuid, integer, text[], double precision[], integer, uuid[], integer, integer, double precision, double precision)', '{}');

-- As before where there are no blocks, or nothing is dense.
ALTER FUNCTION nodeai.best_by_terms(uuid, integer, jsonb, uuid[], integer, bigint, double precision, double precision, double precision)
  RENAME TO best_by_postings;
CREATE FUNCTION nodeai.best_by_terms(base uuid, idx integer, asked jsonb, allowed uuid[], most integer, n bigint, mean double precision,
  k1 double precision, b double precision)
RETURNS TABLE (chunk_id uuid, score double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off AS $$
#variable_conflict use_column
DECLARE
  blocks bigint;
  settled integer;
  terms text[];
  weights double precision[];
  rare integer;
  -- Of rare terms, and of dense ones.
  rows bigint;
  postings bigint;
BEGIN
  SELECT count(*), max(x.first + x.size) INTO blocks, settled FROM nodeai.term_blocks x WHERE x.knowledge_base_id = base AND x.index_version = idx;
  IF blocks > 0 THEN
    SELECT array_agg(x.term ORDER BY x.dense, x.df, x.term), array_agg(x.weight ORDER BY x.dense, x.df, x.term),
        count(*) FILTER (WHERE NOT x.dense), coalesce(sum(x.df) FILTER (WHERE NOT x.dense), 0), sum(x.df) FILTER (WHERE x.dense)
      INTO terms, weights, rare, rows, postings FROM (
        SELECT t.key AS term, f.document_frequency::bigint AS df,
          t.value::double precision * ln(1 + (n - f.document_frequency + 0.5) / (f.document_frequency + 0.5)) AS weight,
          f.document_frequency >= n / 64 AND (SELECT count(*) FROM nodeai.term_planes p
            WHERE p.knowledge_base_id = base AND p.index_version = idx AND p.term = t.key) = blocks AS dense
        FROM jsonb_each_text(asked) t JOIN public.term_stats f
          ON f.knowledge_base_id = base AND f.index_version = idx AND f.term = t.key) x;
    -- Few postings are read faster than planes are summed, and few chunks, in few documents or waiting for a block, are scored one by one.
    -- Sums of very many terms would be coarse.
    IF postings >= n / 10 AND rows <= n / 8 AND cardinality(terms) - rare <= 100
       AND (SELECT count(*) FROM (SELECT FROM nodeai.chunk_numbers c
         WHERE c.knowledge_base_id = base AND c.index_version = idx AND c.number >= settled LIMIT 1001) w) <= 1000
       AND (allowed IS NULL OR cardinality(allowed) > 1000
         OR (SELECT sum(d.chunk_count) FROM public.documents d WHERE d.id = ANY (allowed)) > sqrt(most::double precision * n)) THEN
      RETURN QUERY SELECT * FROM nodeai.best_by_planes(base, idx, terms, weights, rare, allowed, most, settled, k1 * (1 - b),
        k1 * b / nullif(mean, 0));
      RETURN;
    END IF;
  END IF;
  RETURN QUERY SELECT * FROM nodeai.best_by_postings(base, idx, asked, allowed, most, n, mean, k1, b);
END
$$;
SELECT nodeai.expose('nodeai.best_by_terms(uuid, integer, jsonb, uuid[], integer, bigint, double precision, double precision, double precision)', '{}');
