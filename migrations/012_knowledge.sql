-- Knowledge bases: documents, chunks, their lexical statistics (BM25 needs document frequencies) and vectors.

CREATE TABLE public.knowledge_bases (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT knowledge_bases_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT knowledge_bases_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  description text CONSTRAINT knowledge_bases_description_length CHECK (char_length(description) <= 10000),
  settings jsonb NOT NULL DEFAULT '{}',
  active_index integer NOT NULL DEFAULT 1,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX knowledge_bases_org_idx ON public.knowledge_bases (org_id, id DESC);
SELECT nodeai.tenant_table('public.knowledge_bases');

CREATE TABLE public.documents (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL CONSTRAINT documents_knowledge_base
    REFERENCES public.knowledge_bases (id) ON DELETE CASCADE,
  title text NOT NULL CONSTRAINT documents_title_length CHECK (char_length(title) BETWEEN 1 AND 1000),
  source_kind text NOT NULL CONSTRAINT documents_source_kind CHECK (source_kind IN ('upload', 'url', 'sitemap', 'text', 'connector')),
  source_uri text,
  file_id uuid,
  content_type text,
  content_hash text,
  content text,
  metadata jsonb NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'pending'
    CONSTRAINT documents_status CHECK (status IN ('pending', 'processing', 'ready', 'failed', 'stale')),
  progress jsonb NOT NULL DEFAULT '{}',
  error jsonb,
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX documents_base_idx ON public.documents (knowledge_base_id, id DESC);
CREATE INDEX documents_org_idx ON public.documents (org_id, id DESC);
CREATE INDEX documents_hash_idx ON public.documents (knowledge_base_id, content_hash);
CREATE INDEX documents_source_idx ON public.documents (knowledge_base_id, source_uri) WHERE source_uri IS NOT NULL;
CREATE INDEX documents_open_idx ON public.documents (lease_until, id) WHERE status IN ('pending', 'processing');
SELECT nodeai.tenant_table('public.documents');
SELECT nodeai.belongs_to('public.documents', 'knowledge_bases', 'knowledge_base_id');

-- One row per chunk of one index version. `embedding` is float32, little endian, for the exact search that needs no
-- extension; `embedding_i8` its int8 form with `embedding_scale`.
CREATE TABLE public.chunks (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL CONSTRAINT chunks_knowledge_base
    REFERENCES public.knowledge_bases (id) ON DELETE CASCADE,
  document_id uuid NOT NULL CONSTRAINT chunks_document REFERENCES public.documents (id) ON DELETE CASCADE,
  index_version integer NOT NULL,
  number integer NOT NULL,
  parent_number integer,
  start_offset integer NOT NULL,
  end_offset integer NOT NULL,
  content text NOT NULL,
  content_hash text NOT NULL,
  token_count integer NOT NULL DEFAULT 0,
  term_count integer NOT NULL DEFAULT 0,
  metadata jsonb NOT NULL DEFAULT '{}',
  embedding bytea,
  embedding_i8 bytea,
  embedding_scale real,
  CONSTRAINT chunks_number_unique UNIQUE (document_id, index_version, number),
  CONSTRAINT chunks_offsets CHECK (end_offset >= start_offset AND start_offset >= 0)
);
CREATE INDEX chunks_base_idx ON public.chunks (knowledge_base_id, index_version, id);
CREATE INDEX chunks_org_idx ON public.chunks (org_id);
CREATE INDEX chunks_hash_idx ON public.chunks (org_id, content_hash);
CREATE INDEX chunks_metadata_idx ON public.chunks USING gin (metadata jsonb_path_ops);
SELECT nodeai.tenant_table('public.chunks', 'viewer', 'editor', 'SELECT, INSERT, UPDATE, DELETE');
SELECT nodeai.belongs_to('public.chunks', 'documents', 'document_id');
SELECT nodeai.belongs_to('public.chunks', 'knowledge_bases', 'knowledge_base_id');

-- Embeddings by content hash and model, so that nothing is embedded twice.
CREATE TABLE public.embedding_cache (
  org_id uuid NOT NULL CONSTRAINT embedding_cache_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  model text NOT NULL,
  content_hash text NOT NULL,
  embedding bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, model, content_hash)
);
CREATE INDEX embedding_cache_age_idx ON public.embedding_cache (created_at);
SELECT nodeai.tenant_table('public.embedding_cache', 'viewer', 'editor', 'SELECT, INSERT, DELETE');

-- BM25: postings, document frequencies, totals.
CREATE TABLE public.chunk_terms (
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL,
  index_version integer NOT NULL,
  term text NOT NULL,
  chunk_id uuid NOT NULL CONSTRAINT chunk_terms_chunk REFERENCES public.chunks (id) ON DELETE CASCADE,
  frequency integer NOT NULL CONSTRAINT chunk_terms_frequency CHECK (frequency > 0),
  PRIMARY KEY (knowledge_base_id, index_version, term, chunk_id)
);
CREATE INDEX chunk_terms_chunk_idx ON public.chunk_terms (chunk_id);
CREATE INDEX chunk_terms_org_idx ON public.chunk_terms (org_id);
SELECT nodeai.tenant_table('public.chunk_terms', 'viewer', 'editor', 'SELECT, INSERT, DELETE');
SELECT nodeai.belongs_to('public.chunk_terms', 'knowledge_bases', 'knowledge_base_id');

CREATE TABLE public.term_stats (
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL CONSTRAINT term_stats_knowledge_base
    REFERENCES public.knowledge_bases (id) ON DELETE CASCADE,
  index_version integer NOT NULL,
  term text NOT NULL,
  document_frequency integer NOT NULL CONSTRAINT term_stats_frequency CHECK (document_frequency >= 0),
  PRIMARY KEY (knowledge_base_id, index_version, term)
);
CREATE INDEX term_stats_org_idx ON public.term_stats (org_id);
SELECT nodeai.tenant_table('public.term_stats', 'viewer', 'editor', 'SELECT, INSERT, UPDATE, DELETE');
SELECT nodeai.belongs_to('public.term_stats', 'knowledge_bases', 'knowledge_base_id');

CREATE TABLE public.corpus_stats (
  org_id uuid NOT NULL,
  knowledge_base_id uuid NOT NULL CONSTRAINT corpus_stats_knowledge_base
    REFERENCES public.knowledge_bases (id) ON DELETE CASCADE,
  index_version integer NOT NULL,
  chunk_count bigint NOT NULL DEFAULT 0,
  term_count bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (knowledge_base_id, index_version)
);
CREATE INDEX corpus_stats_org_idx ON public.corpus_stats (org_id);
SELECT nodeai.tenant_table('public.corpus_stats', 'viewer', 'editor', 'SELECT, INSERT, UPDATE, DELETE');
SELECT nodeai.belongs_to('public.corpus_stats', 'knowledge_bases', 'knowledge_base_id');

SELECT nodeai.allow_write('knowledge_bases', '{name,description,settings}', '{name,description,settings,active_index}');
SELECT nodeai.allow_write('documents',
  '{knowledge_base_id,title,source_kind,source_uri,file_id,content_type,content_hash,content,metadata,status}',
  '{title,content_type,content_hash,content,metadata,status,progress,error}');

-- Extensions where they are at hand; nothing depends on them. Text search by trigrams for every script; vectors.
-- (Operators that are not leakproof, as those of GIN indexes, never reach an index under a caller's row security: these
-- serve the privileged search functions, and tables that callers filter directly have none.)
DO $$
DECLARE
  home text := CASE WHEN to_regnamespace('extensions') IS NOT NULL THEN 'extensions' ELSE 'public' END;
  wanted text;
  lives_in text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['pg_trgm', 'vector'] LOOP
    BEGIN
      IF EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = wanted) THEN
        EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I', wanted, home);
        SELECT n.nspname INTO lives_in
          FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
          WHERE e.extname = wanted;
        IF wanted = 'pg_trgm' THEN
          EXECUTE format('CREATE INDEX chunks_content_trgm_idx ON public.chunks USING gin (content %I.gin_trgm_ops)', lives_in);
        ELSE
          EXECUTE format('ALTER TABLE public.chunks ADD COLUMN embedding_vector %I.vector', lives_in);
        END IF;
      END IF;
    EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN
      RAISE NOTICE 'extension % is not used here', wanted;
    END;
  END LOOP;
END
$$;
