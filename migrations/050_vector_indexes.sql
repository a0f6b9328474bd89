-- Vectors by pgvector where that extension is, by codes alone where it is not; both give candidates that whoever asks scores exactly.
--
-- An index of a base with many chunks gets a table of its own (`nodeai.vectors_<base>_<number>`) with an HNSW index: its tenant, base
-- and dimensions are not conditions that a walk over the graph has to meet, they are the table. Publishing a document does not wait for
-- it. Codes are numbered in the order in which they were published (an index's statistics are held while that is done), the table says
-- up to which number it has them, and a search scans the codes after that one. So both paths see the same chunks at any time, and the
-- extension may come, or go, at any time: `nodeai.settle_vectors` does what is to be done then, in portions, and drainers call it.

ALTER TABLE nodeai.chunk_codes ADD COLUMN serial bigint GENERATED ALWAYS AS IDENTITY;
DROP INDEX nodeai.chunk_codes_base_idx;
CREATE INDEX chunk_codes_base_idx ON nodeai.chunk_codes (knowledge_base_id, index_version, serial);
CREATE INDEX chunk_codes_document_idx ON nodeai.chunk_codes (document_id, index_version);

CREATE TABLE nodeai.vector_tables (
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL,
  index_version integer NOT NULL,
  relation text NOT NULL,
  dimensions integer NOT NULL,
  -- Codes up to this number are in the table.
  settled_to bigint NOT NULL DEFAULT 0,
  -- Whether its HNSW index is there.
  built boolean NOT NULL DEFAULT false,
  -- How many rows it has, and how many of them belong to chunks that are gone, as counted last.
  entries bigint NOT NULL DEFAULT 0,
  swept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (knowledge_base_id, index_version),
  CONSTRAINT vector_tables_index FOREIGN KEY (knowledge_base_id, index_version)
    REFERENCES public.knowledge_indexes (knowledge_base_id, number) ON DELETE CASCADE
);
SELECT nodeai.lock_table('nodeai.vector_tables');

-- The schema that pgvector is in, quoted; null where it is not, or is too old for iterative scans (before 0.8).
CREATE FUNCTION nodeai.vector_home() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT quote_ident(n.nspname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
  WHERE e.extname = 'vector' AND (string_to_array(substring(e.extversion FROM '^[0-9]+\.[0-9]+'), '.'))::integer[] >= ARRAY[0, 8]
$$;
SELECT nodeai.expose('nodeai.vector_home()', '{}');

-- A vector of `chunks.embedding` (little-endian float32) at length 1; null for one that has no length. A cast does the rest.
CREATE FUNCTION nodeai.unit_vector(bytes bytea) RETURNS real[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = '' AS $$
  SELECT array_agg((x.value / x.whole)::real ORDER BY x.at) FROM (
    SELECT w.at, w.value, sqrt(sum(w.value * w.value) OVER ()) AS whole FROM (
      SELECT v.at, CASE v.bits & 2139095040 WHEN 0 THEN 0 WHEN 2139095040 THEN 0 ELSE
        (1 - 2 * (v.bits >> 31)) * (8388608 + (v.bits & 8388607)) * power(2::double precision, ((v.bits >> 23) & 255) - 150) END AS value
      FROM (
        SELECT i AS at, get_byte(bytes, 4 * i) + 256 * get_byte(bytes, 4 * i + 1) + 65536 * get_byte(bytes, 4 * i + 2)
          + 16777216 * get_byte(bytes, 4 * i + 3)::bigint AS bits
        FROM generate_series(0, length(bytes) / 4 - 1) i) v) w) x
  WHERE x.whole > 0
$$;
SELECT nodeai.expose('nodeai.unit_vector(bytea)', '{}');

-- Whether an index's table is there with its vectors: dropping the extension takes that column with it.
CREATE FUNCTION nodeai.is_vector_table(named text) RETURNS boolean
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = '' AS $$
  SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'nodeai'::regnamespace AND c.relname = named AND a.attname = 'embedding' AND NOT a.attisdropped)
$$;
SELECT nodeai.expose('nodeai.is_vector_table(text)', '{}');

-- Makes an index's table. HNSW takes halfvec of at most 4,000 values; false where it cannot be.
CREATE FUNCTION nodeai.make_vector_table(base uuid, idx integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  home text := nodeai.vector_home();
  named text := format('vectors_%s_%s', replace(base::text, '-', ''), idx);
  size integer;
  org uuid;
BEGIN
  SELECT octet_length(c.embedding) / 4, c.org_id INTO size, org FROM nodeai.chunk_codes x JOIN public.chunks c ON c.id = x.chunk_id
    WHERE x.knowledge_base_id = base AND x.index_version = idx ORDER BY x.serial LIMIT 1;
  IF home IS NULL OR size IS NULL OR size NOT BETWEEN 1 AND 4000 THEN
    RETURN false;
  END IF;
  EXECUTE format('DROP TABLE IF EXISTS nodeai.%I', named);
  EXECUTE format('CREATE TABLE nodeai.%I (chunk_id uuid PRIMARY KEY, document_id uuid NOT NULL, embedding %s.halfvec(%s) NOT NULL)',
    named, home, size);
  -- Half a vector compresses to nothing; reading it is what the table is for.
  EXECUTE format('ALTER TABLE nodeai.%I ALTER COLUMN embedding SET STORAGE EXTERNAL', named);
  PERFORM nodeai.lock_table(format('nodeai.%I', named)::regclass);
  INSERT INTO nodeai.vector_tables (org_id, knowledge_base_id, index_version, relation, dimensions)
    VALUES (org, base, idx, named, size)
    ON CONFLICT (knowledge_base_id, index_version) DO UPDATE SET relation = excluded.relation, dimensions = excluded.dimensions,
      settled_to = 0, built = false, entries = 0;
  RETURN true;
END
$$;
SELECT nodeai.expose('nodeai.make_vector_table(uuid, integer)', '{}');

-- Brings vectors into an index's table until they are all there or the time is over, and makes its HNSW index. Returns whether all are
-- there. Nothing where somebody else is at it.
CREATE FUNCTION nodeai.fill_vector_table(base uuid, idx integer, until timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  home text := nodeai.vector_home();
  t nodeai.vector_tables;
  last bigint;
  n integer;
  fresh bigint;
BEGIN
  IF home IS NULL OR NOT pg_try_advisory_xact_lock(hashtextextended('nodeai.vectors/' || base || '/' || idx, 0)) THEN
    RETURN false;
  END IF;
  SELECT * INTO t FROM nodeai.vector_tables x WHERE x.knowledge_base_id = base AND x.index_version = idx;
  IF NOT coalesce(nodeai.is_vector_table(t.relation), false) THEN
    IF NOT nodeai.make_vector_table(base, idx) THEN
      RETURN false;
    END IF;
    SELECT * INTO t FROM nodeai.vector_tables x WHERE x.knowledge_base_id = base AND x.index_version = idx;
  END IF;
  LOOP
    EXECUTE format(
      'WITH next AS MATERIALIZED (
         SELECT x.serial, x.chunk_id, x.document_id FROM nodeai.chunk_codes x
         WHERE x.knowledge_base_id = $1 AND x.index_version = $2 AND x.serial > $3 ORDER BY x.serial LIMIT 200
       ), put AS (
         INSERT INTO nodeai.%I (chunk_id, document_id, embedding)
           SELECT v.chunk_id, v.document_id, v.value::%2$s.halfvec(%3$s) FROM (
             SELECT n.chunk_id, n.document_id, nodeai.unit_vector(c.embedding) AS value
             FROM next n JOIN public.chunks c ON c.id = n.chunk_id WHERE octet_length(c.embedding) = 4 * %3$s OFFSET 0) v
           WHERE v.value IS NOT NULL
           ON CONFLICT (chunk_id) DO NOTHING RETURNING 1
       )
       SELECT (SELECT max(n.serial) FROM next n), (SELECT count(*) FROM next n), (SELECT count(*) FROM put)', t.relation, home, t.dimensions)
      INTO last, n, fresh USING base, idx, t.settled_to;
    t.settled_to := coalesce(last, t.settled_to);
    t.entries := t.entries + fresh;
    EXIT WHEN n < 200 OR clock_timestamp() >= until;
  END LOOP;
  IF NOT t.built THEN
    -- ef_construction as twice the usual: what is built once is asked often.
    EXECUTE format('CREATE INDEX %I ON nodeai.%I USING hnsw (embedding %s.halfvec_cosine_ops) WITH (m = 16, ef_construction = 128)',
      t.relation || '_hnsw', t.relation, home);
    EXECUTE format('ANALYZE nodeai.%I', t.relation);
  END IF;
  UPDATE nodeai.vector_tables x SET settled_to = t.settled_to, built = true, entries = t.entries
    WHERE x.knowledge_base_id = base AND x.index_version = idx;
  RETURN n < 200;
END
$$;
SELECT nodeai.expose('nodeai.fill_vector_table(uuid, integer, timestamptz)', '{}');

-- Takes out of an index's table what belongs to chunks that are gone, once a day at most, or when they are many.
CREATE FUNCTION nodeai.sweep_vector_table(base uuid, idx integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  t nodeai.vector_tables;
  gone bigint;
BEGIN
  SELECT * INTO t FROM nodeai.vector_tables x WHERE x.knowledge_base_id = base AND x.index_version = idx;
  IF to_regclass('nodeai.' || t.relation) IS NULL
     OR NOT pg_try_advisory_xact_lock(hashtextextended('nodeai.vectors/' || base || '/' || idx, 0)) THEN
    RETURN;
  END IF;
  EXECUTE format('DELETE FROM nodeai.%I v WHERE NOT EXISTS (SELECT FROM nodeai.chunk_codes x WHERE x.chunk_id = v.chunk_id)', t.relation);
  GET DIAGNOSTICS gone = ROW_COUNT;
  UPDATE nodeai.vector_tables x SET entries = x.entries - gone, swept_at = clock_timestamp()
    WHERE x.knowledge_base_id = base AND x.index_version = idx;
END
$$;
SELECT nodeai.expose('nodeai.sweep_vector_table(uuid, integer)', '{}');

-- What is to be done about vectors now: {"least"?: from how many chunks on an index has a table, 5,000 unless given, "time_ms"?:
-- 2,000 unless given, "org_id"?} → {"path": `hnsw` | `exact`, "left": how many indexes wait}.
CREATE FUNCTION nodeai.settle_vectors(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  least_chunks bigint := coalesce((p ->> 'least')::bigint, 5000);
  until timestamptz := clock_timestamp() + coalesce((p ->> 'time_ms')::integer, 2000) * interval '1 millisecond';
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  one record;
  waiting integer := 0;
BEGIN
  IF nodeai.vector_home() IS NULL THEN
    RETURN '{"path":"exact","left":0}';
  END IF;
  FOR one IN SELECT c.knowledge_base_id AS base, c.index_version AS idx FROM public.corpus_stats c
      LEFT JOIN nodeai.vector_tables t ON t.knowledge_base_id = c.knowledge_base_id AND t.index_version = c.index_version
      WHERE (org IS NULL OR c.org_id = org) AND (t.relation IS NOT NULL OR c.chunk_count >= least_chunks)
        AND (EXISTS (SELECT FROM nodeai.chunk_codes x WHERE x.knowledge_base_id = c.knowledge_base_id
            AND x.index_version = c.index_version AND x.serial > coalesce(t.settled_to, 0))
          OR NOT nodeai.is_vector_table(t.relation)) LIMIT 100 LOOP
    IF clock_timestamp() >= until OR NOT nodeai.fill_vector_table(one.base, one.idx, until) THEN
      waiting := waiting + 1;
    END IF;
  END LOOP;
  FOR one IN SELECT t.knowledge_base_id AS base, t.index_version AS idx FROM nodeai.vector_tables t
      JOIN public.corpus_stats c ON c.knowledge_base_id = t.knowledge_base_id AND c.index_version = t.index_version
      WHERE (org IS NULL OR t.org_id = org) AND t.entries > c.chunk_count
        AND (t.entries > c.chunk_count * 1.2 OR t.swept_at < clock_timestamp() - interval '1 day') LIMIT 10 LOOP
    EXIT WHEN clock_timestamp() >= until;
    PERFORM nodeai.sweep_vector_table(one.base, one.idx);
  END LOOP;
  -- Tables of indexes that are no more.
  FOR one IN SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relnamespace = 'nodeai'::regnamespace AND c.relkind = 'r'
      AND c.relname ~ '^vectors_[0-9a-f]{32}_[0-9]+$'
      AND NOT EXISTS (SELECT FROM nodeai.vector_tables t WHERE t.relation = c.relname) LIMIT 20 LOOP
    EXECUTE format('DROP TABLE IF EXISTS nodeai.%I', one.relname);
  END LOOP;
  RETURN jsonb_build_object('path', 'hnsw', 'left', waiting);
END
$$;
SELECT nodeai.expose('nodeai.settle_vectors(jsonb)', '{service_role}');

-- Whoever drains and finds nothing to do does this; where the extension has come since, it is taken up.
ALTER FUNCTION public.knowledge_claim(jsonb) RENAME TO knowledge_claim_job;
ALTER FUNCTION public.knowledge_claim_job(jsonb) SET SCHEMA nodeai;
CREATE FUNCTION public.knowledge_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  answer jsonb := nodeai.knowledge_claim_job(p);
BEGIN
  IF answer ->> 'outcome' = 'empty' THEN
    PERFORM nodeai.settle_vectors(p - 'lease_us');
  END IF;
  RETURN answer;
END
$$;
SELECT nodeai.expose('nodeai.knowledge_claim_job(jsonb)', '{service_role}');
SELECT nodeai.expose('public.knowledge_claim(jsonb)', '{service_role}');

-- A run of housekeeping asks for the extension where the server has it and nobody has made it; without the right to it stays exact.
CREATE FUNCTION nodeai.ensure_pgvector() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF nodeai.vector_home() IS NULL AND EXISTS (SELECT FROM pg_catalog.pg_available_extensions e WHERE e.name = 'vector'
      AND e.installed_version IS NULL) THEN
    EXECUTE format('CREATE EXTENSION IF NOT EXISTS vector SCHEMA %I',
      CASE WHEN to_regnamespace('extensions') IS NOT NULL THEN 'extensions' ELSE 'public' END);
  END IF;
  RETURN nodeai.vector_home() IS NOT NULL;
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN
  RETURN false;
END
$$;
SELECT nodeai.expose('nodeai.ensure_pgvector()', '{}');
ALTER FUNCTION nodeai.housekeeping(jsonb) RENAME TO keep_house_but_vectors;
SELECT nodeai.expose('nodeai.keep_house_but_vectors(jsonb)', '{}');
CREATE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM nodeai.ensure_pgvector();
  RETURN nodeai.keep_house_but_vectors(p);
END
$$;
SELECT nodeai.expose('nodeai.housekeeping(jsonb)', '{service_role}');
SELECT nodeai.ensure_pgvector();
