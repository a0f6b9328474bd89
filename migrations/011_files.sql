-- Files: what is stored where, the chunked rows of the built-in backend, and unfinished (tus) uploads.

CREATE TABLE public.files (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT files_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  user_id uuid,
  name text NOT NULL CONSTRAINT files_name_length CHECK (char_length(name) BETWEEN 1 AND 500),
  folder text CONSTRAINT files_folder_length CHECK (char_length(folder) <= 500),
  content_type text NOT NULL,
  size_bytes bigint NOT NULL CONSTRAINT files_size CHECK (size_bytes >= 0),
  sha256 text CONSTRAINT files_sha256_format CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  backend text NOT NULL DEFAULT 'postgres' CONSTRAINT files_backend CHECK (backend IN ('postgres', 'supabase', 's3')),
  object_key text,
  metadata jsonb NOT NULL DEFAULT '{}',
  extracted_text text,
  expires_at timestamptz,
  deleted_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX files_org_idx ON public.files (org_id, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX files_hash_idx ON public.files (org_id, sha256) WHERE deleted_at IS NULL;
CREATE INDEX files_name_idx ON public.files (org_id, lower(name)) WHERE deleted_at IS NULL;
CREATE INDEX files_user_idx ON public.files (org_id, user_id);
CREATE INDEX files_expires_idx ON public.files (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX files_deleted_idx ON public.files (deleted_at) WHERE deleted_at IS NOT NULL;
SELECT nodeai.tenant_table('public.files');

CREATE TABLE public.file_uploads (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT file_uploads_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  user_id uuid,
  name text NOT NULL CONSTRAINT file_uploads_name_length CHECK (char_length(name) BETWEEN 1 AND 500),
  size_bytes bigint,
  offset_bytes bigint NOT NULL DEFAULT 0,
  content_type text,
  metadata jsonb NOT NULL DEFAULT '{}',
  backend text NOT NULL DEFAULT 'postgres' CONSTRAINT file_uploads_backend CHECK (backend IN ('postgres', 'supabase', 's3')),
  backend_state jsonb NOT NULL DEFAULT '{}',
  hash_state bytea,
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  expires_at timestamptz NOT NULL DEFAULT now() + interval '24 hours',
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT file_uploads_offset CHECK (offset_bytes >= 0 AND (size_bytes IS NULL OR offset_bytes <= size_bytes))
);
CREATE INDEX file_uploads_expires_idx ON public.file_uploads (expires_at);
CREATE INDEX file_uploads_org_idx ON public.file_uploads (org_id, id DESC);
SELECT nodeai.tenant_table('public.file_uploads');

-- `object_id` is a file or an unfinished upload; chunks move from the one to the other by keeping the id.
CREATE TABLE public.file_chunks (
  object_id uuid NOT NULL,
  number integer NOT NULL CONSTRAINT file_chunks_number CHECK (number >= 0),
  org_id uuid NOT NULL CONSTRAINT file_chunks_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  first_byte bigint NOT NULL,
  bytes bytea NOT NULL CONSTRAINT file_chunks_size CHECK (octet_length(bytes) <= 8388608),
  PRIMARY KEY (org_id, object_id, number)
);
-- Already compressed as often as not: leave the bytes as they are.
ALTER TABLE public.file_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;
SELECT nodeai.tenant_table('public.file_chunks', 'viewer', 'editor', 'SELECT, INSERT, DELETE');

SELECT nodeai.allow_write('files',
  '{user_id,name,folder,content_type,size_bytes,sha256,backend,object_key,metadata,extracted_text,expires_at}',
  '{name,folder,metadata,extracted_text,expires_at}');
SELECT nodeai.allow_write('file_uploads',
  '{user_id,name,size_bytes,content_type,metadata,backend,backend_state,expires_at}',
  '{size_bytes,offset_bytes,backend_state,hash_state,expires_at}');
