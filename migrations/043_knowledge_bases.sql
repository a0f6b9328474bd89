-- Knowledge bases at work: versions of an index, ingest as jobs that are leased, chunks whose statistics change with them.
--
-- A document has one job for each index of its base. Whoever drains takes a job up by a lease and acts with the claims of whoever
-- asked for it. Chunks are put aside in portions (`nodeai.chunk_drafts`) and become visible all at once, with postings,
-- statistics and vectors, in one statement: a reader sees a document as it was or as it is, and who dies in between leaves
-- nothing half done. Every step names its lease; with one that is not the last it changes nothing.

-- Who writes what ------------------------------------------------------------------------------------------------------

REVOKE INSERT, UPDATE, DELETE ON public.documents, public.chunks, public.chunk_terms, public.term_stats, public.corpus_stats,
  public.embedding_cache FROM authenticated;
DELETE FROM nodeai.writable_tables WHERE table_name = 'documents';
REVOKE UPDATE (active_index) ON public.knowledge_bases FROM authenticated;
UPDATE nodeai.writable_tables SET updatable = ARRAY(SELECT c FROM unnest(updatable) c WHERE c <> 'active_index')
  WHERE table_name = 'knowledge_bases';
-- Search goes by postings and codes; these two cost every chunk that comes in.
DROP INDEX IF EXISTS public.chunks_content_trgm_idx;
DROP INDEX IF EXISTS public.chunks_metadata_idx;

ALTER TABLE public.documents
  -- What it will say once its job has ended; searches show places in `content` until then.
  ADD COLUMN pending_content text,
  ADD COLUMN chunk_count integer NOT NULL DEFAULT 0,
  -- The sitemap that it was found in.
  ADD COLUMN origin_id uuid CONSTRAINT documents_origin REFERENCES public.documents (id) ON DELETE SET NULL,
  ADD COLUMN fetched_at timestamptz;
CREATE INDEX documents_origin_idx ON public.documents (origin_id) WHERE origin_id IS NOT NULL;
CREATE INDEX documents_status_idx ON public.documents (knowledge_base_id, status, id DESC);

CREATE TABLE public.knowledge_indexes (
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL CONSTRAINT knowledge_indexes_base REFERENCES public.knowledge_bases (id) ON DELETE CASCADE,
  number integer NOT NULL CONSTRAINT knowledge_indexes_number CHECK (number > 0),
  settings jsonb NOT NULL,
  -- `ready`: complete but for documents that failed, so that it was not switched to by itself.
  status text NOT NULL DEFAULT 'building' CONSTRAINT knowledge_indexes_status CHECK (status IN ('building', 'ready', 'active', 'retired')),
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  activated_at timestamptz,
  PRIMARY KEY (knowledge_base_id, number)
);
CREATE INDEX knowledge_indexes_org_idx ON public.knowledge_indexes (org_id);
SELECT nodeai.tenant_table('public.knowledge_indexes');
SELECT nodeai.belongs_to('public.knowledge_indexes', 'knowledge_bases', 'knowledge_base_id');

CREATE TABLE public.knowledge_jobs (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL,
  document_id uuid NOT NULL CONSTRAINT knowledge_jobs_document REFERENCES public.documents (id) ON DELETE CASCADE,
  index_version integer NOT NULL,
  status text NOT NULL DEFAULT 'pending'
    CONSTRAINT knowledge_jobs_status CHECK (status IN ('pending', 'processing', 'done', 'failed')),
  -- Whether the source is asked again before anything else.
  refetch boolean NOT NULL DEFAULT false,
  -- Tries that failed in a row, and leases that ran out since it last got anywhere.
  step integer NOT NULL DEFAULT 0,
  losses integer NOT NULL DEFAULT 0,
  next_at timestamptz DEFAULT clock_timestamp(),
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  -- Chunks that are put aside, of how many.
  staged integer NOT NULL DEFAULT 0,
  total integer,
  error jsonb,
  user_id uuid,
  key_id uuid,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT knowledge_jobs_index FOREIGN KEY (knowledge_base_id, index_version)
    REFERENCES public.knowledge_indexes (knowledge_base_id, number) ON DELETE CASCADE,
  CONSTRAINT knowledge_jobs_unique UNIQUE (document_id, index_version)
);
CREATE INDEX knowledge_jobs_index_idx ON public.knowledge_jobs (knowledge_base_id, index_version, status);
CREATE INDEX knowledge_jobs_due_idx ON public.knowledge_jobs (next_at, id) WHERE status = 'pending';
CREATE INDEX knowledge_jobs_lease_idx ON public.knowledge_jobs (lease_until) WHERE status = 'processing';
CREATE INDEX knowledge_jobs_org_idx ON public.knowledge_jobs (org_id);
SELECT nodeai.tenant_table('public.knowledge_jobs');
SELECT nodeai.belongs_to('public.knowledge_jobs', 'documents', 'document_id');

-- A vector's code: four planes of bits, the highest first (shared/knowledge/src/vector.rs says how they are made).
ALTER TABLE public.embedding_cache
  ADD COLUMN plane3 bit varying, ADD COLUMN plane2 bit varying, ADD COLUMN plane1 bit varying, ADD COLUMN plane0 bit varying;

CREATE TABLE nodeai.chunk_codes (
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL,
  index_version integer NOT NULL,
  document_id uuid NOT NULL,
  chunk_id uuid NOT NULL CONSTRAINT chunk_codes_chunk REFERENCES public.chunks (id) ON DELETE CASCADE,
  plane3 bit varying NOT NULL,
  plane2 bit varying NOT NULL,
  plane1 bit varying NOT NULL,
  plane0 bit varying NOT NULL,
  PRIMARY KEY (chunk_id)
);
CREATE INDEX chunk_codes_base_idx ON nodeai.chunk_codes (knowledge_base_id, index_version);
SELECT nodeai.lock_table('nodeai.chunk_codes');

CREATE TABLE nodeai.chunk_drafts (
  org_id uuid NOT NULL,
  document_id uuid NOT NULL CONSTRAINT chunk_drafts_document REFERENCES public.documents (id) ON DELETE CASCADE,
  index_version integer NOT NULL,
  number integer NOT NULL,
  chunk jsonb NOT NULL,
  embedding bytea,
  plane3 bit varying, plane2 bit varying, plane1 bit varying, plane0 bit varying,
  PRIMARY KEY (document_id, index_version, number)
);
SELECT nodeai.lock_table('nodeai.chunk_drafts');

ALTER TABLE public.chunks
  ADD COLUMN parent_start integer,
  ADD COLUMN parent_end integer;
DROP INDEX public.chunks_base_idx;
CREATE INDEX chunks_base_idx ON public.chunks (knowledge_base_id, index_version, id) INCLUDE (document_id);

-- A posting says how long its chunk is, so that a score needs nothing else; the key covers it. Only the functions below write
-- postings, with the base of their chunk: they are not asked one by one whose they are.
DROP TRIGGER belongs_to_knowledge_base_id ON public.chunk_terms;
DROP TRIGGER belongs_to_knowledge_base_id ON public.term_stats;
ALTER TABLE public.chunk_terms
  ADD COLUMN length integer NOT NULL DEFAULT 0,
  DROP CONSTRAINT chunk_terms_pkey,
  ADD CONSTRAINT chunk_terms_pkey PRIMARY KEY (knowledge_base_id, index_version, term, chunk_id) INCLUDE (frequency, length);

-- What the API shows of a document.
CREATE FUNCTION nodeai.document_shown(d public.documents) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(d) - ARRAY['org_id', 'content', 'pending_content', 'lease_until', 'lease_token', 'created_by'];
SELECT nodeai.expose('nodeai.document_shown(public.documents)', '{authenticated,service_role}');

-- A base of the organisation, or NA404.
CREATE FUNCTION nodeai.base_of(org uuid, base uuid) RETURNS public.knowledge_bases
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  k public.knowledge_bases;
BEGIN
  SELECT * INTO k FROM public.knowledge_bases x WHERE x.id = base AND x.org_id = org;
  IF k.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN k;
END
$$;
SELECT nodeai.expose('nodeai.base_of(uuid, uuid)', '{authenticated,service_role}');

-- A document of a base at an expected version, locked; NA404, NA412.
CREATE FUNCTION nodeai.document_of(org uuid, args jsonb) RETURNS public.documents
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  d public.documents;
  expected integer := (args ->> 'expect_version')::integer;
BEGIN
  PERFORM nodeai.require_member(org);
  IF NOT EXISTS (SELECT FROM public.documents x WHERE x.id = (args ->> 'id')::uuid AND x.org_id = org
      AND x.knowledge_base_id = (args ->> 'knowledge_base_id')::uuid) THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  PERFORM nodeai.require_runner(org);
  -- Locks are taken in this order everywhere: base, document, job, index.
  PERFORM FROM public.knowledge_bases k WHERE k.id = (args ->> 'knowledge_base_id')::uuid FOR SHARE;
  SELECT * INTO d FROM public.documents x WHERE x.id = (args ->> 'id')::uuid FOR UPDATE;
  IF d.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  IF expected IS NOT NULL AND d.version <> expected THEN
    RAISE EXCEPTION 'stale' USING ERRCODE = 'NA412', DETAIL = d.version::text;
  END IF;
  RETURN d;
END
$$;
SELECT nodeai.expose('nodeai.document_of(uuid, jsonb)', '{}');

-- Bases ----------------------------------------------------------------------------------------------------------------

CREATE FUNCTION nodeai.add_index(org uuid, base uuid, index_settings jsonb, state text) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  fresh integer;
BEGIN
  PERFORM nodeai.require_runner(org);
  SELECT coalesce(max(i.number), 0) + 1 INTO fresh FROM public.knowledge_indexes i
    WHERE i.knowledge_base_id = base AND i.org_id = org;
  INSERT INTO public.knowledge_indexes (org_id, knowledge_base_id, number, settings, status, created_by, activated_at)
    VALUES (org, base, fresh, index_settings, state, auth.uid(), CASE WHEN state = 'active' THEN clock_timestamp() END);
  INSERT INTO public.corpus_stats (org_id, knowledge_base_id, index_version) VALUES (org, base, fresh);
  RETURN fresh;
END
$$;
SELECT nodeai.expose('nodeai.add_index(uuid, uuid, jsonb, text)', '{authenticated,service_role}');

-- {"id","name","description","settings"}
CREATE FUNCTION nodeai.do_knowledge_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  base uuid := (args ->> 'id')::uuid;
BEGIN
  IF (SELECT count(*) FROM public.knowledge_bases k WHERE k.org_id = org) >= 200 THEN
    RAISE EXCEPTION 'an organisation has at most 200 knowledge bases' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.insert_row('knowledge_bases', base, org, args - 'id');
  PERFORM nodeai.add_index(org, base, args -> 'settings', 'active');
  RETURN jsonb_build_object('version', 1, 'body', nodeai.row_now('knowledge_bases', base, org) - 'org_id' - 'created_by',
    'changes', jsonb_build_object('after', args - 'id'));
END
$$;
SELECT nodeai.expose('nodeai.do_knowledge_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?,"row":{name?,description?},"search"?: replaces what needs no new index}
CREATE FUNCTION nodeai.do_knowledge_update(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
  before public.knowledge_bases := nodeai.base_of(org, (args ->> 'id')::uuid);
BEGIN
  IF nullif(args -> 'search', 'null') IS NOT NULL THEN
    given := given || jsonb_build_object('settings', before.settings || jsonb_build_object('search', args -> 'search'));
  END IF;
  PERFORM nodeai.change_row('knowledge_bases', 'update', before.id, org, given, (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('version', before.version + 1,
    'body', nodeai.row_now('knowledge_bases', before.id, org) - 'org_id' - 'created_by',
    'changes', jsonb_build_object('after', given));
END
$$;
SELECT nodeai.expose('nodeai.do_knowledge_update(uuid, jsonb)', '{authenticated,service_role}');

-- A base with its indexes and how far they are: {"id","org_id"} → the base, "indexes", "documents" by status; or null.
CREATE FUNCTION public.knowledge_base(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT to_jsonb(k) - ARRAY['org_id', 'created_by'] || jsonb_build_object(
    'documents', (SELECT coalesce(jsonb_object_agg(s.status, s.n), '{}') FROM (
      SELECT d.status, count(*) AS n FROM public.documents d WHERE d.knowledge_base_id = k.id AND d.org_id = k.org_id
      GROUP BY d.status) s),
    'indexes', (SELECT coalesce(jsonb_agg(jsonb_build_object('number', i.number, 'status', i.status, 'settings', i.settings,
        'created_at', i.created_at, 'activated_at', i.activated_at, 'chunks', coalesce(c.chunk_count, 0),
        'jobs', (SELECT coalesce(jsonb_object_agg(j.status, j.n), '{}') FROM (
          SELECT x.status, count(*) AS n FROM public.knowledge_jobs x
          WHERE x.knowledge_base_id = k.id AND x.index_version = i.number GROUP BY x.status) j)) ORDER BY i.number), '[]')
      FROM public.knowledge_indexes i LEFT JOIN public.corpus_stats c
        ON c.knowledge_base_id = i.knowledge_base_id AND c.index_version = i.number
      WHERE i.knowledge_base_id = k.id AND i.org_id = k.org_id))
  FROM public.knowledge_bases k
  WHERE k.id = (p ->> 'id')::uuid AND k.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.knowledge_base(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('knowledge_base');

-- Chunks with their statistics -------------------------------------------------------------------------------------------

-- Holds an index for one change of its statistics at a time.
CREATE FUNCTION nodeai.hold_index(base uuid, idx integer) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  SELECT FROM public.corpus_stats c WHERE c.knowledge_base_id = base AND c.index_version = idx FOR UPDATE
$$;
SELECT nodeai.expose('nodeai.hold_index(uuid, integer)', '{}');

-- Removes a document's chunks from an index but those in `keep`, with postings and statistics. The index is held.
CREATE FUNCTION nodeai.drop_chunks(base uuid, idx integer, document uuid, keep uuid[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  gone uuid[] := ARRAY(SELECT c.id FROM public.chunks c
    WHERE c.document_id = document AND c.index_version = idx AND c.id <> ALL (keep));
BEGIN
  IF cardinality(gone) = 0 THEN
    RETURN;
  END IF;
  UPDATE public.term_stats s SET document_frequency = s.document_frequency - x.n
    FROM (SELECT t.term, count(*)::integer AS n FROM public.chunk_terms t WHERE t.chunk_id = ANY (gone) GROUP BY t.term) x
    WHERE s.knowledge_base_id = base AND s.index_version = idx AND s.term = x.term;
  DELETE FROM public.term_stats s USING (SELECT DISTINCT t.term FROM public.chunk_terms t WHERE t.chunk_id = ANY (gone)) x
    WHERE s.knowledge_base_id = base AND s.index_version = idx AND s.term = x.term AND s.document_frequency = 0;
  UPDATE public.corpus_stats s SET chunk_count = s.chunk_count - x.n, term_count = s.term_count - x.length
    FROM (SELECT count(*) AS n, coalesce(sum(c.term_count), 0) AS length FROM public.chunks c WHERE c.id = ANY (gone)) x
    WHERE s.knowledge_base_id = base AND s.index_version = idx;
  DELETE FROM public.chunks c WHERE c.id = ANY (gone);
END
$$;
SELECT nodeai.expose('nodeai.drop_chunks(uuid, integer, uuid, uuid[])', '{}');

-- Makes what was put aside for a document its chunks: what stays the same keeps its row and its id. Returns how many it has.
CREATE FUNCTION nodeai.publish_drafts(job public.knowledge_jobs) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  base uuid := job.knowledge_base_id;
  idx integer := job.index_version;
  all_ids uuid[];
  fresh uuid[];
BEGIN
  PERFORM nodeai.hold_index(base, idx);
  SELECT coalesce(array_agg((d.chunk ->> 'id')::uuid), '{}') INTO all_ids
    FROM nodeai.chunk_drafts d WHERE d.document_id = job.document_id AND d.index_version = idx;
  PERFORM nodeai.drop_chunks(base, idx, job.document_id, all_ids);
  WITH put AS (
    INSERT INTO public.chunks AS c (id, org_id, knowledge_base_id, document_id, index_version, number, parent_number, parent_start,
      parent_end, start_offset, end_offset, content, content_hash, token_count, term_count, metadata, embedding)
    SELECT (d.chunk ->> 'id')::uuid, job.org_id, base, job.document_id, idx, d.number, (d.chunk ->> 'parent_number')::integer,
      (d.chunk ->> 'parent_start')::integer, (d.chunk ->> 'parent_end')::integer, (d.chunk ->> 'start')::integer,
      (d.chunk ->> 'end')::integer, d.chunk ->> 'content', d.chunk ->> 'content_hash', (d.chunk ->> 'tokens')::integer,
      (d.chunk ->> 'length')::integer, d.chunk -> 'metadata', d.embedding
    FROM nodeai.chunk_drafts d WHERE d.document_id = job.document_id AND d.index_version = idx
    ORDER BY d.number
    ON CONFLICT (id) DO UPDATE SET start_offset = excluded.start_offset, end_offset = excluded.end_offset,
      parent_number = excluded.parent_number, parent_start = excluded.parent_start, parent_end = excluded.parent_end,
      metadata = excluded.metadata
    RETURNING c.id, c.xmax = 0 AS fresh
  )
  SELECT coalesce(array_agg(p.id) FILTER (WHERE p.fresh), '{}') INTO fresh FROM put p;
  IF cardinality(fresh) > 0 THEN
    INSERT INTO nodeai.chunk_codes (org_id, knowledge_base_id, index_version, document_id, chunk_id, plane3, plane2, plane1, plane0)
      SELECT job.org_id, base, idx, job.document_id, (d.chunk ->> 'id')::uuid, d.plane3, d.plane2, d.plane1, d.plane0
      FROM nodeai.chunk_drafts d WHERE d.document_id = job.document_id AND d.index_version = idx
        AND d.plane3 IS NOT NULL AND (d.chunk ->> 'id')::uuid = ANY (fresh) ORDER BY d.number;
    INSERT INTO public.chunk_terms (org_id, knowledge_base_id, index_version, term, chunk_id, frequency, length)
      SELECT job.org_id, base, idx, t.key, (d.chunk ->> 'id')::uuid, t.value::integer, (d.chunk ->> 'length')::integer
      FROM nodeai.chunk_drafts d CROSS JOIN LATERAL jsonb_each_text(d.chunk -> 'terms') t
      WHERE d.document_id = job.document_id AND d.index_version = idx AND (d.chunk ->> 'id')::uuid = ANY (fresh);
    INSERT INTO public.term_stats AS s (org_id, knowledge_base_id, index_version, term, document_frequency)
      SELECT job.org_id, base, idx, t.term, count(*) FROM public.chunk_terms t WHERE t.chunk_id = ANY (fresh)
      GROUP BY t.term
      ON CONFLICT (knowledge_base_id, index_version, term)
        DO UPDATE SET document_frequency = s.document_frequency + excluded.document_frequency;
    UPDATE public.corpus_stats s SET chunk_count = s.chunk_count + x.n, term_count = s.term_count + x.length
      FROM (SELECT count(*) AS n, coalesce(sum(c.term_count), 0) AS length FROM public.chunks c WHERE c.id = ANY (fresh)) x
      WHERE s.knowledge_base_id = base AND s.index_version = idx;
  END IF;
  DELETE FROM nodeai.chunk_drafts d WHERE d.document_id = job.document_id AND d.index_version = idx;
  RETURN cardinality(all_ids);
END
$$;
SELECT nodeai.expose('nodeai.publish_drafts(public.knowledge_jobs)', '{}');

-- Documents ------------------------------------------------------------------------------------------------------------

-- Gives a document's jobs back to the drainers, in every index; whoever holds one of them has lost it.
CREATE FUNCTION nodeai.reset_jobs(document uuid, only_failed boolean, but uuid) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  n bigint;
BEGIN
  UPDATE public.knowledge_jobs j SET status = 'pending', step = 0, losses = 0, next_at = clock_timestamp(), lease_until = NULL,
      lease_token = j.lease_token + 1, error = NULL, updated_at = clock_timestamp(),
      staged = CASE WHEN only_failed THEN j.staged ELSE 0 END, total = CASE WHEN only_failed THEN j.total END,
      user_id = coalesce(auth.uid(), j.user_id),
      key_id = CASE WHEN auth.uid() IS NULL THEN j.key_id ELSE nullif(nodeai.claims() ->> 'key_id', '')::uuid END
    WHERE j.document_id = document AND (NOT only_failed OR j.status = 'failed') AND j.id IS DISTINCT FROM but;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF NOT only_failed THEN
    DELETE FROM nodeai.chunk_drafts d WHERE d.document_id = document;
  END IF;
  RETURN n;
END
$$;
SELECT nodeai.expose('nodeai.reset_jobs(uuid, boolean, uuid)', '{}');

-- Adds documents with their jobs; those whose content the base has already say of which document, and are left out if `skip`.
CREATE FUNCTION nodeai.add_documents(org uuid, base uuid, given jsonb, skip boolean, origin uuid) RETURNS jsonb
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
          content_hash, pending_content, metadata, origin_id, created_by)
        VALUES ((one ->> 'id')::uuid, org, base, one ->> 'title', one ->> 'source_kind', one ->> 'source_uri',
          (one ->> 'file_id')::uuid, one ->> 'content_type', one ->> 'content_hash', one ->> 'content',
          coalesce(nullif(one -> 'metadata', 'null'), '{}'), origin, auth.uid());
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
SELECT nodeai.expose('nodeai.add_documents(uuid, uuid, jsonb, boolean, uuid)', '{authenticated,service_role}');

-- {"knowledge_base_id","documents":[{"id","title","source_kind","source_uri"?,"file_id"?,"content_type"?,"content"?,
-- "content_hash"?,"metadata"}],"skip_duplicates"}
CREATE FUNCTION nodeai.do_knowledge_add(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  k public.knowledge_bases := nodeai.base_of(org, (args ->> 'knowledge_base_id')::uuid);
  added jsonb := nodeai.add_documents(org, k.id, args -> 'documents', (args ->> 'skip_duplicates')::boolean, NULL);
BEGIN
  RETURN jsonb_build_object('body', jsonb_build_object('documents', added),
    'changes', jsonb_build_object('documents', jsonb_array_length(added)));
END
$$;
SELECT nodeai.expose('nodeai.do_knowledge_add(uuid, jsonb)', '{authenticated,service_role}');

-- Changes a document: {"id","knowledge_base_id","expect_version"?} with "do": `update` ("row": {title?, metadata?}), `content`
-- ("content","content_hash","content_type"), `retry`, `refresh` (its source is asked again), `remove`.
CREATE FUNCTION nodeai.change_document(org uuid, what text, args jsonb) RETURNS public.documents
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
SELECT nodeai.expose('nodeai.change_document(uuid, text, jsonb)', '{authenticated,service_role}');

CREATE FUNCTION nodeai.do_knowledge_document(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  d public.documents := nodeai.change_document(org, args ->> 'do', args);
BEGIN
  RETURN jsonb_build_object('version', d.version, 'changes', jsonb_build_object('title', d.title, 'do', args -> 'do'))
    || CASE WHEN args ->> 'do' = 'remove' THEN '{}' ELSE jsonb_build_object('body', nodeai.document_shown(d)) END;
END
$$;
SELECT nodeai.expose('nodeai.do_knowledge_document(uuid, jsonb)', '{authenticated,service_role}');

-- Indexes --------------------------------------------------------------------------------------------------------------

-- Switches to an index. Documents show how they are in it.
CREATE FUNCTION nodeai.switch_index(base uuid, idx integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.knowledge_indexes i SET status = CASE WHEN i.number = idx THEN 'active' ELSE 'retired' END,
      activated_at = CASE WHEN i.number = idx THEN clock_timestamp() ELSE i.activated_at END
    WHERE i.knowledge_base_id = base AND (i.number = idx OR i.status = 'active');
  UPDATE public.knowledge_bases k SET active_index = idx, version = k.version + 1, updated_at = now(),
      settings = i.settings || jsonb_build_object('search', coalesce(k.settings -> 'search', i.settings -> 'search'))
    FROM public.knowledge_indexes i WHERE k.id = base AND i.knowledge_base_id = base AND i.number = idx;
  UPDATE public.documents d SET error = j.error,
      status = CASE j.status WHEN 'done' THEN 'ready' ELSE j.status END,
      content = CASE j.status WHEN 'done' THEN coalesce(d.pending_content, d.content) ELSE d.content END,
      pending_content = CASE j.status WHEN 'done' THEN NULL ELSE d.pending_content END,
      chunk_count = (SELECT count(*) FROM public.chunks c WHERE c.document_id = d.id AND c.index_version = idx)
    FROM public.knowledge_jobs j WHERE j.document_id = d.id AND j.index_version = idx AND d.knowledge_base_id = base;
END
$$;
SELECT nodeai.expose('nodeai.switch_index(uuid, integer)', '{}');

-- Indexes of a base that were being built and have nothing more to do: switched to, unless documents failed. Its own transaction
-- looks for them, after the one that ended the last job: that one holds less than the whole base.
CREATE FUNCTION nodeai.settle_indexes(base uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  idx integer;
  failed bigint;
BEGIN
  -- Documents that come in meanwhile come before or after.
  PERFORM FROM public.knowledge_bases k WHERE k.id = base FOR UPDATE;
  FOR idx IN SELECT i.number FROM public.knowledge_indexes i WHERE i.knowledge_base_id = base AND i.status IN ('building', 'ready')
      AND NOT EXISTS (SELECT FROM public.knowledge_jobs j WHERE j.knowledge_base_id = base AND j.index_version = i.number
        AND j.status IN ('pending', 'processing')) ORDER BY 1 LOOP
    SELECT count(*) INTO failed FROM public.knowledge_jobs j
      WHERE j.knowledge_base_id = base AND j.index_version = idx AND j.status = 'failed';
    IF failed = 0 THEN
      PERFORM nodeai.switch_index(base, idx);
    ELSE
      UPDATE public.knowledge_indexes i SET status = 'ready' WHERE i.knowledge_base_id = base AND i.number = idx;
    END IF;
  END LOOP;
END
$$;
SELECT nodeai.expose('nodeai.settle_indexes(uuid)', '{service_role}');

CREATE FUNCTION nodeai.change_index(org uuid, what text, args jsonb) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  base uuid := (args ->> 'id')::uuid;
  idx integer := (args ->> 'number')::integer;
  k public.knowledge_bases;
  i public.knowledge_indexes;
BEGIN
  PERFORM nodeai.require_runner(org);
  SELECT * INTO k FROM public.knowledge_bases x WHERE x.id = base AND x.org_id = org FOR UPDATE;
  IF what = 'rebuild' THEN
    IF (SELECT count(*) FROM public.knowledge_indexes x WHERE x.knowledge_base_id = base) >= 3 THEN
      RAISE EXCEPTION 'a knowledge base has at most three indexes; drop one first' USING ERRCODE = 'NA409';
    ELSIF EXISTS (SELECT FROM public.knowledge_indexes x WHERE x.knowledge_base_id = base AND x.status = 'building') THEN
      RAISE EXCEPTION 'an index is being built already' USING ERRCODE = 'NA409';
    END IF;
    idx := nodeai.add_index(org, base, args -> 'settings', 'building');
    INSERT INTO public.knowledge_jobs (id, org_id, knowledge_base_id, document_id, index_version, user_id, key_id)
      SELECT nodeai.uuid_v7(), org, base, d.id, idx, auth.uid(), nullif(nodeai.claims() ->> 'key_id', '')::uuid
      FROM public.documents d
      WHERE d.knowledge_base_id = base AND d.source_kind <> 'sitemap';
    PERFORM nodeai.settle_indexes(base);
    RETURN idx;
  END IF;
  SELECT * INTO i FROM public.knowledge_indexes x WHERE x.knowledge_base_id = base AND x.number = idx;
  IF i.number IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF i.status = 'active' THEN
    RAISE EXCEPTION 'this index is the active one' USING ERRCODE = 'NA409';
  ELSIF what = 'activate' THEN
    IF EXISTS (SELECT FROM public.knowledge_jobs j WHERE j.knowledge_base_id = base AND j.index_version = idx
        AND j.status IN ('pending', 'processing')) THEN
      RAISE EXCEPTION 'documents of this index are still waiting' USING ERRCODE = 'NA409';
    END IF;
    PERFORM nodeai.switch_index(base, idx);
  ELSE
    DELETE FROM public.chunks c WHERE c.knowledge_base_id = base AND c.index_version = idx;
    DELETE FROM public.term_stats s WHERE s.knowledge_base_id = base AND s.index_version = idx;
    DELETE FROM public.corpus_stats s WHERE s.knowledge_base_id = base AND s.index_version = idx;
    DELETE FROM nodeai.chunk_drafts d USING public.documents x
      WHERE x.knowledge_base_id = base AND d.document_id = x.id AND d.index_version = idx;
    DELETE FROM public.knowledge_indexes x WHERE x.knowledge_base_id = base AND x.number = idx;
  END IF;
  RETURN idx;
END
$$;
SELECT nodeai.expose('nodeai.change_index(uuid, text, jsonb)', '{authenticated,service_role}');

-- {"id","do": `rebuild` ("settings") | `activate` | `drop` ("number")}
CREATE FUNCTION nodeai.do_knowledge_index(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  k public.knowledge_bases := nodeai.base_of(org, (args ->> 'id')::uuid);
  idx integer := nodeai.change_index(org, args ->> 'do', args);
BEGIN
  RETURN jsonb_build_object('changes', jsonb_build_object('index', idx, 'do', args -> 'do'))
    || CASE WHEN args ->> 'do' = 'drop' THEN '{}' ELSE jsonb_build_object('body', jsonb_build_object('number', idx, 'status',
      (SELECT i.status FROM public.knowledge_indexes i WHERE i.knowledge_base_id = k.id AND i.number = idx))) END;
END
$$;
SELECT nodeai.expose('nodeai.do_knowledge_index(uuid, jsonb)', '{authenticated,service_role}');

-- Jobs -----------------------------------------------------------------------------------------------------------------

-- The claims that a member, or a member's key, would get now for work that needs `scope`; null when they would get none.
CREATE FUNCTION nodeai.claims_of(member uuid, key uuid, org uuid, scope text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  member_role text;
  held text[];
  limited_to uuid[];
BEGIN
  SELECT m.role INTO member_role FROM public.organization_members m
    JOIN public.profiles u ON u.id = m.user_id
    WHERE m.user_id = member AND m.org_id = org AND u.deleting_at IS NULL;
  held := nodeai.scopes_of(member_role);
  IF key IS NOT NULL THEN
    SELECT k.scopes, k.workflow_ids INTO held, limited_to FROM public.api_keys k
      WHERE k.id = key AND k.user_id = member AND k.org_id = org AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp());
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
  IF member_role IS NULL OR NOT nodeai.scope_covers(held, scope)
     OR NOT nodeai.scope_covers(nodeai.scopes_of(member_role), scope) THEN
    RETURN NULL;
  END IF;
  RETURN jsonb_build_object('sub', member, 'role', 'authenticated', 'org_id', org, 'member_role', member_role,
    'key_id', key, 'scopes', held, 'workflow_ids', limited_to);
END
$$;
SELECT nodeai.expose('nodeai.claims_of(uuid, uuid, uuid, text)', '{service_role}');

-- Ends a job; a document says how it is in the active index.
CREATE FUNCTION nodeai.end_job(job public.knowledge_jobs, state text, why jsonb, chunks integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.knowledge_jobs j SET status = state, error = why, lease_until = NULL, lease_token = j.lease_token + 1,
      next_at = NULL, refetch = state <> 'done' AND j.refetch, step = 0, losses = 0,
      updated_at = clock_timestamp()
    WHERE j.id = job.id;
  UPDATE public.documents d SET status = CASE state WHEN 'done' THEN 'ready' ELSE state END, error = why, progress = '{}',
      chunk_count = coalesce(chunks, d.chunk_count), updated_at = now(),
      content = CASE WHEN state = 'done' THEN coalesce(d.pending_content, d.content) ELSE d.content END,
      pending_content = CASE WHEN state = 'done' THEN NULL ELSE d.pending_content END
    FROM public.knowledge_bases k
    WHERE d.id = job.document_id AND k.id = d.knowledge_base_id AND k.active_index = job.index_version;
END
$$;
SELECT nodeai.expose('nodeai.end_job(public.knowledge_jobs, text, jsonb, integer)', '{service_role}');

-- Takes up one job that is due, of the organisation with the fewest at work: {"org_id"?,"lease_us"} →
-- {"outcome":"claimed","job","claims","principal"} or {"outcome":"empty","due_us"}. Before that, indexes that are complete are
-- switched to.
CREATE FUNCTION public.knowledge_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  at timestamptz := clock_timestamp();
  j public.knowledge_jobs;
  acting jsonb;
  base uuid;
BEGIN
  FOR base IN SELECT DISTINCT i.knowledge_base_id FROM public.knowledge_indexes i
      WHERE i.status = 'building' AND (org IS NULL OR i.org_id = org) AND NOT EXISTS (SELECT FROM public.knowledge_jobs x
        WHERE x.knowledge_base_id = i.knowledge_base_id AND x.index_version = i.number
          AND x.status IN ('pending', 'processing')) LIMIT 20 LOOP
    PERFORM nodeai.settle_indexes(base);
  END LOOP;
  FOR attempt IN 1..50 LOOP
    WITH due AS MATERIALIZED (
      (SELECT x.id, x.org_id, x.next_at AS since FROM public.knowledge_jobs x
        WHERE x.status = 'pending' AND x.next_at <= at AND (org IS NULL OR x.org_id = org)
        ORDER BY x.next_at, x.id LIMIT 500)
      UNION ALL
      (SELECT x.id, x.org_id, x.lease_until FROM public.knowledge_jobs x
        WHERE x.status = 'processing' AND x.lease_until < at AND (org IS NULL OR x.org_id = org)
        ORDER BY x.lease_until LIMIT 100)
    ), busy AS MATERIALIZED (
      SELECT x.org_id, count(*) AS n FROM public.knowledge_jobs x
      WHERE x.status = 'processing' AND x.lease_until >= at GROUP BY x.org_id
    ), mine AS MATERIALIZED (
      SELECT x.id FROM due d JOIN public.knowledge_jobs x ON x.id = d.id LEFT JOIN busy b ON b.org_id = d.org_id
      WHERE x.status = 'pending' AND x.next_at <= at OR x.status = 'processing' AND x.lease_until < at
      ORDER BY coalesce(b.n, 0), d.since, d.id LIMIT 1 FOR UPDATE OF x SKIP LOCKED
    )
    UPDATE public.knowledge_jobs x SET losses = x.losses + CASE WHEN x.status = 'processing' THEN 1 ELSE 0 END,
        status = 'processing', lease_token = x.lease_token + 1, next_at = NULL, updated_at = at,
        lease_until = clock_timestamp() + coalesce((p ->> 'lease_us')::bigint, 60000000) * interval '1 microsecond'
      FROM mine WHERE x.id = mine.id RETURNING x.* INTO j;
    IF j.id IS NULL THEN
      RETURN jsonb_build_object('outcome', 'empty', 'due_us', CASE WHEN org IS NULL THEN nodeai.to_us((
        SELECT min(x.next_at) FROM public.knowledge_jobs x WHERE x.status = 'pending')) END);
    END IF;
    acting := nodeai.claims_of(j.user_id, j.key_id, j.org_id, 'knowledge:write');
    IF acting IS NOT NULL AND j.losses < 5 THEN
      RETURN jsonb_build_object('outcome', 'claimed', 'claims', acting::text,
        'job', jsonb_build_object('id', j.id, 'knowledge_base_id', j.knowledge_base_id, 'document_id', j.document_id,
          'index_version', j.index_version, 'lease_token', j.lease_token, 'step', j.step),
        'principal', jsonb_build_object('outcome', 'ok', 'user_id', j.user_id, 'org_id', j.org_id, 'key_id', j.key_id,
          'member_role', acting -> 'member_role', 'scopes', acting -> 'scopes', 'workflow_ids', acting -> 'workflow_ids'));
    END IF;
    PERFORM nodeai.end_job(j, 'failed', CASE WHEN acting IS NULL
      THEN '{"kind":"owner_gone","message":"the key or the member that added this may not do so any more; retry it as somebody who may"}'::jsonb
      ELSE '{"kind":"given_up","message":"five hosts in a row were lost with this document before it got anywhere"}'::jsonb END, NULL);
  END LOOP;
  RETURN '{"outcome":"empty"}';
END
$$;
SELECT nodeai.expose('public.knowledge_claim(jsonb)', '{service_role}');
SELECT nodeai.allow_call('knowledge_claim');

-- One step of a job that is leased: {"org_id","job_id","lease_token","lease_us","step", …} → {"outcome":"ok|lost|restart", …}.
--   load                                  the document, the index's settings, how much is put aside
--   content {content, content_hash, content_type, title?}   what the source says now → "changed"
--   known {model, hashes}                 which of these texts have a vector → "missing"
--   stage {first, total, model, chunks, vectors}   puts chunks aside from number `first` on
--   publish {total}                       makes what is put aside the document's chunks
--   found {documents}                     a sitemap's documents are added, and it is done → "added"
--   end {state: pending | failed | done, next_us?, step?, error?}   gives the job back, or up
CREATE FUNCTION nodeai.job_step(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  j public.knowledge_jobs;
  d public.documents;
  n integer;
  added jsonb;
BEGIN
  PERFORM nodeai.require_runner(org);
  SELECT * INTO j FROM public.knowledge_jobs x WHERE x.id = (p ->> 'job_id')::uuid AND x.org_id = org;
  PERFORM FROM public.knowledge_bases k WHERE k.id = j.knowledge_base_id FOR SHARE;
  SELECT * INTO d FROM public.documents x WHERE x.id = j.document_id FOR UPDATE;
  SELECT * INTO j FROM public.knowledge_jobs x WHERE x.id = j.id AND x.status = 'processing'
    AND x.lease_token = (p ->> 'lease_token')::bigint FOR UPDATE;
  IF j.id IS NULL THEN
    RETURN '{"outcome":"lost"}';
  END IF;
  UPDATE public.knowledge_jobs x SET updated_at = clock_timestamp(),
      lease_until = clock_timestamp() + coalesce((p ->> 'lease_us')::bigint, 60000000) * interval '1 microsecond'
    WHERE x.id = j.id;
  CASE p ->> 'step'
  WHEN 'load' THEN
    UPDATE public.documents x SET status = 'processing' FROM public.knowledge_bases k
      WHERE x.id = d.id AND k.id = x.knowledge_base_id AND k.active_index = j.index_version;
    RETURN jsonb_build_object('outcome', 'ok', 'staged', j.staged, 'refetch', j.refetch,
      'fetching', EXISTS (SELECT FROM public.knowledge_jobs x WHERE x.document_id = d.id AND x.id <> j.id AND x.refetch
        AND x.status IN ('pending', 'processing')),
      'settings', (SELECT i.settings FROM public.knowledge_indexes i
        WHERE i.knowledge_base_id = j.knowledge_base_id AND i.number = j.index_version),
      'document', jsonb_build_object('title', d.title, 'source_kind', d.source_kind, 'source_uri', d.source_uri,
        'content', coalesce(d.pending_content, d.content), 'content_hash', d.content_hash, 'content_type', d.content_type,
        'metadata', d.metadata));
  WHEN 'content' THEN
    IF d.content_hash = p ->> 'content_hash' AND j.staged = 0 AND d.content IS NOT NULL AND d.pending_content IS NULL
       AND EXISTS (SELECT FROM public.chunks c WHERE c.document_id = d.id AND c.index_version = j.index_version) THEN
      UPDATE public.documents x SET fetched_at = now() WHERE x.id = d.id;
      PERFORM nodeai.end_job(j, 'done', NULL, NULL);
      RETURN '{"outcome":"ok","changed":false}';
    END IF;
    UPDATE public.documents x SET pending_content = p ->> 'content', content_hash = p ->> 'content_hash', fetched_at = now(),
        content_type = coalesce(p ->> 'content_type', x.content_type),
        title = CASE WHEN x.title = x.source_uri THEN coalesce(nullif(p ->> 'title', ''), x.title) ELSE x.title END
      WHERE x.id = d.id;
    -- The other indexes get it, too.
    PERFORM nodeai.reset_jobs(d.id, false, j.id);
    UPDATE public.knowledge_jobs x SET staged = 0, refetch = false, losses = 0 WHERE x.id = j.id;
    RETURN '{"outcome":"ok","changed":true}';
  WHEN 'known' THEN
    RETURN jsonb_build_object('outcome', 'ok', 'missing', (SELECT coalesce(jsonb_agg(h), '[]')
      FROM jsonb_array_elements_text(p -> 'hashes') h WHERE NOT EXISTS (SELECT FROM public.embedding_cache e
        WHERE e.org_id = org AND e.model = p ->> 'model' AND e.content_hash = h)));
  WHEN 'stage' THEN
    INSERT INTO public.embedding_cache (org_id, model, content_hash, embedding, plane3, plane2, plane1, plane0)
      SELECT org, p ->> 'model', v ->> 'hash', decode(v ->> 'embedding', 'base64'), ('x' || (v ->> 'plane3'))::varbit,
        ('x' || (v ->> 'plane2'))::varbit, ('x' || (v ->> 'plane1'))::varbit, ('x' || (v ->> 'plane0'))::varbit
      FROM jsonb_array_elements(p -> 'vectors') v ORDER BY v ->> 'hash'
      ON CONFLICT DO NOTHING;
    SELECT count(*) INTO n FROM nodeai.chunk_drafts x
      WHERE x.document_id = j.document_id AND x.index_version = j.index_version AND x.number < (p ->> 'first')::integer;
    IF n <> (p ->> 'first')::integer OR p ->> 'model' IS NOT NULL AND EXISTS (SELECT FROM jsonb_array_elements(p -> 'chunks') c
        WHERE NOT EXISTS (SELECT FROM public.embedding_cache e
          WHERE e.org_id = org AND e.model = p ->> 'model' AND e.content_hash = c ->> 'content_hash')) THEN
      UPDATE public.knowledge_jobs x SET staged = 0 WHERE x.id = j.id;
      RETURN '{"outcome":"restart"}';
    END IF;
    DELETE FROM nodeai.chunk_drafts x
      WHERE x.document_id = j.document_id AND x.index_version = j.index_version AND x.number >= (p ->> 'first')::integer;
    -- An unchanged chunk is the same chunk: its id is what it says, and where.
    INSERT INTO nodeai.chunk_drafts (org_id, document_id, index_version, number, chunk, embedding, plane3, plane2, plane1, plane0)
      SELECT org, j.document_id, j.index_version, (c ->> 'number')::integer,
        c || jsonb_build_object('id', md5(concat_ws('/', j.document_id, j.index_version, c ->> 'number', c ->> 'content_hash'))::uuid),
        e.embedding, e.plane3, e.plane2, e.plane1, e.plane0
      FROM jsonb_array_elements(p -> 'chunks') c
      LEFT JOIN public.embedding_cache e ON e.org_id = org AND e.model = p ->> 'model' AND e.content_hash = c ->> 'content_hash';
    n := n + jsonb_array_length(p -> 'chunks');
    UPDATE public.knowledge_jobs x SET staged = n, total = (p ->> 'total')::integer, step = 0, losses = 0 WHERE x.id = j.id;
    UPDATE public.documents x SET progress = jsonb_build_object('chunks', n, 'of', p -> 'total') FROM public.knowledge_bases k
      WHERE x.id = d.id AND k.id = x.knowledge_base_id AND k.active_index = j.index_version;
    RETURN jsonb_build_object('outcome', 'ok', 'staged', n);
  WHEN 'publish' THEN
    SELECT count(*) INTO n FROM nodeai.chunk_drafts x WHERE x.document_id = j.document_id AND x.index_version = j.index_version;
    IF n <> (p ->> 'total')::integer THEN
      UPDATE public.knowledge_jobs x SET staged = 0 WHERE x.id = j.id;
      RETURN '{"outcome":"restart"}';
    END IF;
    n := nodeai.publish_drafts(j);
    UPDATE public.knowledge_jobs x SET staged = 0, total = n WHERE x.id = j.id;
    PERFORM nodeai.end_job(j, 'done', NULL, n);
    RETURN jsonb_build_object('outcome', 'ok', 'chunks', n);
  WHEN 'found' THEN
    added := nodeai.add_documents(org, j.knowledge_base_id, p -> 'documents', true, d.id);
    UPDATE public.documents x SET fetched_at = now() WHERE x.id = d.id;
    PERFORM nodeai.end_job(j, 'done', NULL, NULL);
    SELECT count(*) INTO n FROM jsonb_array_elements(added) a WHERE a ->> 'id' IS NOT NULL;
    UPDATE public.documents x SET progress = jsonb_build_object('found', jsonb_array_length(added), 'added', n) WHERE x.id = d.id;
    RETURN jsonb_build_object('outcome', 'ok', 'added', n);
  WHEN 'end' THEN
    IF p ->> 'state' = 'pending' THEN
      UPDATE public.knowledge_jobs x SET status = 'pending', lease_until = NULL, lease_token = x.lease_token + 1, error = nullif(p -> 'error', 'null'),
          step = coalesce((p ->> 'tries')::integer, x.step), next_at = coalesce(nodeai.from_us((p ->> 'next_us')::bigint), clock_timestamp())
        WHERE x.id = j.id;
      UPDATE public.documents x SET status = 'pending', error = nullif(p -> 'error', 'null') FROM public.knowledge_bases k
        WHERE x.id = d.id AND k.id = x.knowledge_base_id AND k.active_index = j.index_version;
    ELSE
      PERFORM nodeai.end_job(j, p ->> 'state', nullif(p -> 'error', 'null'), NULL);
    END IF;
    RETURN '{"outcome":"ok"}';
  ELSE
    RAISE EXCEPTION 'no such step' USING ERRCODE = 'invalid_parameter_value';
  END CASE;
END
$$;
SELECT nodeai.expose('nodeai.job_step(jsonb)', '{authenticated,service_role}');
CREATE FUNCTION public.knowledge_step(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.job_step(p) $$;
SELECT nodeai.expose('public.knowledge_step(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('knowledge_step');

-- Search ---------------------------------------------------------------------------------------------------------------

-- {"id","org_id","index"?,"candidates","analyses": {analyser: {term: how often}}?,"code": {"plane3",…}?,"coarse"?,"filter"?: a
-- jsonpath predicate on a document's metadata,"documents"?: ids,"expand"?: "parent" | "window","window"?,"explain"?} →
-- {"index","settings","chunk_count","lexical": [{"id","score","terms"?}],"vector": [{"id","embedding"}],"chunks": [...]}, or null
-- where there is no such base.
--
-- Lexical: BM25 as Lucene computes it (idf = ln(1 + (N - df + 0.5) / (df + 0.5)), tf / (tf + k1 (1 - b + b dl / avgdl))), with
-- exact lengths. Vectors: by the two high planes of bits the best `coarse`, of them by all four the best `candidates`, at
-- least 100; whoever asks scores those exactly.
CREATE FUNCTION nodeai.search_chunks(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  k public.knowledge_bases;
  idx integer;
  s jsonb;
  most integer := (p ->> 'candidates')::integer;
  near integer;
  terms jsonb;
  n bigint;
  mean double precision;
  k1 double precision;
  b double precision;
  allowed uuid[];
  code jsonb := nullif(p -> 'code', 'null');
  q3 bit varying;
  q2 bit varying;
  q1 bit varying;
  q0 bit varying;
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
  IF p ->> 'filter' IS NOT NULL OR nullif(p -> 'documents', 'null') IS NOT NULL THEN
    allowed := ARRAY(SELECT d.id FROM public.documents d WHERE d.knowledge_base_id = k.id AND d.org_id = org
      AND (p ->> 'filter' IS NULL OR d.metadata @@ (p ->> 'filter')::jsonpath)
      AND (nullif(p -> 'documents', 'null') IS NULL OR p -> 'documents' ? d.id::text));
  END IF;
  terms := p -> 'analyses' -> (s #>> '{lexical,analyser}');
  IF terms IS NOT NULL AND n > 0 THEN
    WITH asked AS MATERIALIZED (
      SELECT t.key AS term, t.value::double precision * ln(1 + (n - f.document_frequency + 0.5) / (f.document_frequency + 0.5)) AS idf
      FROM jsonb_each_text(terms) t JOIN public.term_stats f
        ON f.knowledge_base_id = k.id AND f.index_version = idx AND f.term = t.key
    ), inside AS MATERIALIZED (
      SELECT c.id FROM public.chunks c
      WHERE c.knowledge_base_id = k.id AND c.index_version = idx AND c.document_id = ANY (allowed)
    ), scored AS (
      SELECT t.chunk_id, sum(a.idf * t.frequency / (t.frequency + k1 * (1 - b + b * t.length / mean))) AS score
      FROM asked a JOIN public.chunk_terms t ON t.knowledge_base_id = k.id AND t.index_version = idx AND t.term = a.term
      WHERE allowed IS NULL OR t.chunk_id IN (SELECT i.id FROM inside i)
      GROUP BY t.chunk_id
    ), best AS MATERIALIZED (
      SELECT x.chunk_id, x.score FROM scored x ORDER BY x.score DESC, x.chunk_id LIMIT most
    )
    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('id', x.chunk_id, 'score', x.score, 'terms',
        CASE WHEN (p ->> 'explain')::boolean THEN (
          SELECT jsonb_object_agg(a.term, jsonb_build_object('idf', a.idf, 'tf', t.frequency, 'length', t.length,
            'score', a.idf * t.frequency / (t.frequency + k1 * (1 - b + b * t.length / mean))))
          FROM asked a JOIN public.chunk_terms t ON t.knowledge_base_id = k.id AND t.index_version = idx AND t.term = a.term
            AND t.chunk_id = x.chunk_id) END)) ORDER BY x.score DESC, x.chunk_id), '[]')
      INTO lexical FROM best x;
  END IF;
  IF code IS NOT NULL THEN
    -- Two of a hundred, as measured (shared/knowledge/src/vector.rs).
    near := coalesce((p ->> 'coarse')::integer, greatest(2000, coalesce(n, 0) / 50));
    q3 := ('x' || (code ->> 'plane3'))::varbit;
    q2 := ('x' || (code ->> 'plane2'))::varbit;
    q1 := ('x' || (code ->> 'plane1'))::varbit;
    q0 := ('x' || (code ->> 'plane0'))::varbit;
    WITH coarse AS MATERIALIZED (
      SELECT x.chunk_id, x.plane3, x.plane2, x.plane1, x.plane0 FROM nodeai.chunk_codes x
      WHERE x.knowledge_base_id = k.id AND x.index_version = idx AND (allowed IS NULL OR x.document_id = ANY (allowed))
      ORDER BY 4 * bit_count(x.plane3 # q3) + 2 * bit_count(x.plane3 # q2) + 2 * bit_count(x.plane2 # q3) + bit_count(x.plane2 # q2)
      LIMIT near
    ), best AS MATERIALIZED (
      SELECT x.chunk_id,
        64 * bit_count(x.plane3 # q3) + 32 * (bit_count(x.plane3 # q2) + bit_count(x.plane2 # q3))
        + 16 * (bit_count(x.plane3 # q1) + bit_count(x.plane2 # q2) + bit_count(x.plane1 # q3))
        + 8 * (bit_count(x.plane3 # q0) + bit_count(x.plane2 # q1) + bit_count(x.plane1 # q2) + bit_count(x.plane0 # q3))
        + 4 * (bit_count(x.plane2 # q0) + bit_count(x.plane1 # q1) + bit_count(x.plane0 # q2))
        + 2 * (bit_count(x.plane1 # q0) + bit_count(x.plane0 # q1)) + bit_count(x.plane0 # q0) AS far
      FROM coarse x ORDER BY far, x.chunk_id LIMIT greatest(most, 100)
    )
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', x.chunk_id,
        'embedding', translate(encode(c.embedding, 'base64'), E'\n', '')) ORDER BY x.far, x.chunk_id), '[]')
      INTO vector FROM best x JOIN public.chunks c ON c.id = x.chunk_id;
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
  RETURN jsonb_build_object('index', idx, 'settings', s, 'chunk_count', n, 'lexical', lexical, 'vector', vector, 'chunks', chunks);
END
$$;
SELECT nodeai.expose('nodeai.search_chunks(jsonb)', '{authenticated,service_role}');
CREATE FUNCTION public.knowledge_search(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.search_chunks(p) $$;
SELECT nodeai.expose('public.knowledge_search(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('knowledge_search');

-- What wants somebody's attention in a base: {"id","org_id","recount"?} → {"duplicates": [{"content_hash","documents"}],"failed",
-- "waiting","integrity": of the active index: {"chunk_count","counted","term_count","counted_terms","wrong_terms"}} or null.
CREATE FUNCTION nodeai.report_base(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  k public.knowledge_bases;
BEGIN
  PERFORM nodeai.require_member(org);
  SELECT * INTO k FROM public.knowledge_bases x WHERE x.id = (p ->> 'id')::uuid AND x.org_id = org;
  IF k.id IS NULL THEN
    RETURN NULL;
  END IF;
  RETURN jsonb_build_object(
    'duplicates', (SELECT coalesce(jsonb_agg(jsonb_build_object('content_hash', x.content_hash, 'documents', x.documents)), '[]')
      FROM (SELECT d.content_hash, jsonb_agg(jsonb_build_object('id', d.id, 'title', d.title) ORDER BY d.id) AS documents
        FROM public.documents d WHERE d.knowledge_base_id = k.id AND d.content_hash IS NOT NULL
        GROUP BY d.content_hash HAVING count(*) > 1 ORDER BY count(*) DESC, 1 LIMIT 100) x),
    'failed', (SELECT coalesce(jsonb_agg(jsonb_build_object('document_id', x.document_id, 'index', x.index_version, 'error', x.error)), '[]')
      FROM (SELECT j.document_id, j.index_version, j.error FROM public.knowledge_jobs j
        WHERE j.knowledge_base_id = k.id AND j.status = 'failed' ORDER BY j.id DESC LIMIT 100) x),
    'waiting', (SELECT count(*) FROM public.knowledge_jobs j WHERE j.knowledge_base_id = k.id AND j.status IN ('pending', 'processing')),
    'integrity', (SELECT jsonb_build_object('chunk_count', c.chunk_count, 'term_count', c.term_count,
        'counted', (SELECT count(*) FROM public.chunks x WHERE x.knowledge_base_id = k.id AND x.index_version = k.active_index),
        'counted_terms', (SELECT coalesce(sum(x.term_count), 0) FROM public.chunks x
          WHERE x.knowledge_base_id = k.id AND x.index_version = k.active_index),
        'wrong_terms', (SELECT count(*) FROM (
          SELECT t.term, count(*) AS n FROM public.chunk_terms t
          WHERE t.knowledge_base_id = k.id AND t.index_version = k.active_index GROUP BY t.term) x
          FULL JOIN (SELECT f.term, f.document_frequency AS n FROM public.term_stats f
            WHERE f.knowledge_base_id = k.id AND f.index_version = k.active_index) y ON y.term = x.term
          WHERE x.n IS DISTINCT FROM y.n))
      FROM public.corpus_stats c
      WHERE (p ->> 'recount')::boolean AND c.knowledge_base_id = k.id AND c.index_version = k.active_index));
END
$$;
SELECT nodeai.expose('nodeai.report_base(jsonb)', '{authenticated,service_role}');
CREATE FUNCTION public.knowledge_report(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.report_base(p) $$;
SELECT nodeai.expose('public.knowledge_report(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('knowledge_report');

-- Housekeeping of before, and vectors of texts that nobody has had embedded for half a year: chunks have their own.
CREATE FUNCTION nodeai.prune_embeddings() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  DELETE FROM public.embedding_cache e WHERE (e.org_id, e.model, e.content_hash) IN (
    SELECT x.org_id, x.model, x.content_hash FROM public.embedding_cache x
    WHERE x.created_at < now() - interval '180 days' ORDER BY x.created_at LIMIT 20000)
$$;
SELECT nodeai.expose('nodeai.prune_embeddings()', '{}');
ALTER FUNCTION nodeai.housekeeping(jsonb) RENAME TO keep_house_but_embeddings;
SELECT nodeai.expose('nodeai.keep_house_but_embeddings(jsonb)', '{}');
CREATE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM nodeai.prune_embeddings();
  RETURN nodeai.keep_house_but_embeddings(p);
END
$$;
SELECT nodeai.expose('nodeai.housekeeping(jsonb)', '{service_role}');
