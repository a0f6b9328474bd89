-- What starts runs and what runs reach: deployments, schedules, webhooks in and out, tools.

CREATE TABLE public.deployments (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT deployments_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  workflow_id uuid NOT NULL CONSTRAINT deployments_workflow REFERENCES public.workflows (id) ON DELETE CASCADE,
  slug text NOT NULL CONSTRAINT deployments_slug_format CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$'),
  environment text NOT NULL DEFAULT 'prod' CONSTRAINT deployments_environment CHECK (environment IN ('dev', 'staging', 'prod')),
  workflow_version integer NOT NULL,
  canary_version integer,
  canary_percent integer NOT NULL DEFAULT 0 CONSTRAINT deployments_canary_percent CHECK (canary_percent BETWEEN 0 AND 100),
  variables jsonb NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'active' CONSTRAINT deployments_status CHECK (status IN ('active', 'paused')),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT deployments_slug_unique UNIQUE (org_id, slug, environment)
);
CREATE INDEX deployments_org_idx ON public.deployments (org_id, id DESC);
CREATE INDEX deployments_workflow_idx ON public.deployments (workflow_id);
SELECT nodeai.tenant_table('public.deployments');

CREATE TABLE public.deployment_history (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  deployment_id uuid NOT NULL CONSTRAINT deployment_history_deployment REFERENCES public.deployments (id) ON DELETE CASCADE,
  action text NOT NULL CONSTRAINT deployment_history_action
    CHECK (action IN ('create', 'publish', 'promote', 'rollback', 'canary', 'pause', 'resume', 'configure')),
  from_version integer,
  to_version integer,
  details jsonb NOT NULL DEFAULT '{}',
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deployment_history_deployment_idx ON public.deployment_history (deployment_id, created_at DESC);
CREATE INDEX deployment_history_org_idx ON public.deployment_history (org_id);
SELECT nodeai.tenant_table('public.deployment_history');

CREATE TABLE public.schedules (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT schedules_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  workflow_id uuid NOT NULL CONSTRAINT schedules_workflow REFERENCES public.workflows (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT schedules_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  cron text NOT NULL CONSTRAINT schedules_cron_length CHECK (char_length(cron) BETWEEN 1 AND 200),
  time_zone text NOT NULL DEFAULT 'UTC',
  inputs jsonb NOT NULL DEFAULT '{}',
  missed text NOT NULL DEFAULT 'latest' CONSTRAINT schedules_missed CHECK (missed IN ('skip', 'latest', 'all')),
  jitter_ms integer NOT NULL DEFAULT 0 CONSTRAINT schedules_jitter CHECK (jitter_ms BETWEEN 0 AND 3600000),
  paused boolean NOT NULL DEFAULT false,
  next_at timestamptz,
  last_at timestamptz,
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX schedules_due_idx ON public.schedules (next_at) WHERE NOT paused AND next_at IS NOT NULL;
CREATE INDEX schedules_org_idx ON public.schedules (org_id, id DESC);
CREATE INDEX schedules_workflow_idx ON public.schedules (workflow_id);
SELECT nodeai.tenant_table('public.schedules');

-- `direction` in: a path that starts a run; out: a subscription to events.
CREATE TABLE public.webhooks (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT webhooks_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  direction text NOT NULL CONSTRAINT webhooks_direction CHECK (direction IN ('in', 'out')),
  name text NOT NULL CONSTRAINT webhooks_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  workflow_id uuid CONSTRAINT webhooks_workflow REFERENCES public.workflows (id) ON DELETE CASCADE,
  path text CONSTRAINT webhooks_path_unique UNIQUE CONSTRAINT webhooks_path_length CHECK (char_length(path) BETWEEN 1 AND 500),
  methods text[] NOT NULL DEFAULT '{POST}',
  verification jsonb NOT NULL DEFAULT '{}',
  answer_mode text NOT NULL DEFAULT 'at_once'
    CONSTRAINT webhooks_answer_mode CHECK (answer_mode IN ('at_once', 'at_end', 'node', 'stream')),
  url text CONSTRAINT webhooks_url_length CHECK (char_length(url) <= 2000),
  event_types text[] NOT NULL DEFAULT '{}',
  headers jsonb NOT NULL DEFAULT '{}',
  secret_ciphertext bytea,
  previous_secret_ciphertext bytea,
  previous_secret_until timestamptz,
  disabled_at timestamptz,
  disabled_reason text,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT webhooks_in_has_path CHECK (direction <> 'in' OR path IS NOT NULL),
  CONSTRAINT webhooks_out_has_url CHECK (direction <> 'out' OR url IS NOT NULL)
);
CREATE INDEX webhooks_org_idx ON public.webhooks (org_id, id DESC);
CREATE INDEX webhooks_workflow_idx ON public.webhooks (workflow_id) WHERE workflow_id IS NOT NULL;
CREATE INDEX webhooks_events_idx ON public.webhooks USING gin (event_types);
SELECT nodeai.tenant_table('public.webhooks');

CREATE TABLE public.webhook_deliveries (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  webhook_id uuid NOT NULL CONSTRAINT webhook_deliveries_webhook REFERENCES public.webhooks (id) ON DELETE CASCADE,
  direction text NOT NULL DEFAULT 'out' CONSTRAINT webhook_deliveries_direction CHECK (direction IN ('in', 'out')),
  dedupe_key text,
  event_type text NOT NULL,
  payload jsonb,
  raw_body bytea,
  status text NOT NULL DEFAULT 'pending'
    CONSTRAINT webhook_deliveries_status CHECK (status IN ('pending', 'delivering', 'delivered', 'failed', 'cancelled')),
  attempts integer NOT NULL DEFAULT 0,
  next_at timestamptz,
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  execution_id uuid,
  delivered_at timestamptz,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX webhook_deliveries_dedupe_unique ON public.webhook_deliveries (webhook_id, dedupe_key)
  WHERE dedupe_key IS NOT NULL;
CREATE INDEX webhook_deliveries_due_idx ON public.webhook_deliveries (next_at, id) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_lease_idx ON public.webhook_deliveries (lease_until) WHERE status = 'delivering';
CREATE INDEX webhook_deliveries_webhook_idx ON public.webhook_deliveries (webhook_id, created_at DESC);
CREATE INDEX webhook_deliveries_org_idx ON public.webhook_deliveries (org_id, created_at DESC, id DESC);
SELECT nodeai.tenant_table('public.webhook_deliveries', 'viewer', 'editor', 'SELECT, INSERT, UPDATE');

CREATE TABLE public.webhook_attempts (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  delivery_id uuid NOT NULL CONSTRAINT webhook_attempts_delivery REFERENCES public.webhook_deliveries (id) ON DELETE CASCADE,
  number integer NOT NULL,
  status integer,
  error text,
  request jsonb,
  response jsonb,
  duration_us bigint,
  at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT webhook_attempts_number_unique UNIQUE (delivery_id, number)
);
CREATE INDEX webhook_attempts_org_idx ON public.webhook_attempts (org_id, at DESC);
SELECT nodeai.tenant_table('public.webhook_attempts', 'viewer', 'editor', 'SELECT, INSERT');

CREATE TABLE public.tools (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT tools_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT tools_name_format CHECK (name ~ '^[A-Za-z0-9_.-]{1,128}$'),
  kind text NOT NULL CONSTRAINT tools_kind CHECK (kind IN ('mcp', 'openapi', 'function', 'workflow')),
  description text CONSTRAINT tools_description_length CHECK (char_length(description) <= 10000),
  config jsonb NOT NULL DEFAULT '{}',
  input_schema jsonb,
  output_schema jsonb,
  permissions jsonb NOT NULL DEFAULT '{}',
  enabled boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT tools_name_unique UNIQUE (org_id, name)
);
CREATE INDEX tools_org_idx ON public.tools (org_id, id DESC);
SELECT nodeai.tenant_table('public.tools');

SELECT nodeai.allow_write('deployments',
  '{workflow_id,slug,environment,workflow_version,canary_version,canary_percent,variables,status}',
  '{workflow_version,canary_version,canary_percent,variables,status}');
SELECT nodeai.allow_write('deployment_history', '{deployment_id,action,from_version,to_version,details}', '{}', false);
SELECT nodeai.allow_write('schedules',
  '{workflow_id,name,cron,time_zone,inputs,missed,jitter_ms,paused,next_at}',
  '{name,cron,time_zone,inputs,missed,jitter_ms,paused,next_at}');
SELECT nodeai.allow_write('webhooks',
  '{direction,name,workflow_id,path,methods,verification,answer_mode,url,event_types,headers,secret_ciphertext}',
  '{name,workflow_id,path,methods,verification,answer_mode,url,event_types,headers,secret_ciphertext,previous_secret_ciphertext,previous_secret_until,disabled_at,disabled_reason}');
SELECT nodeai.allow_write('tools',
  '{name,kind,description,config,input_schema,output_schema,permissions,enabled}',
  '{name,description,config,input_schema,output_schema,permissions,enabled}');

SELECT nodeai.belongs_to('public.deployments', 'workflows', 'workflow_id');
SELECT nodeai.belongs_to('public.deployment_history', 'deployments', 'deployment_id');
SELECT nodeai.belongs_to('public.schedules', 'workflows', 'workflow_id');
SELECT nodeai.belongs_to('public.webhooks', 'workflows', 'workflow_id');
SELECT nodeai.belongs_to('public.webhook_deliveries', 'webhooks', 'webhook_id');
SELECT nodeai.belongs_to('public.webhook_attempts', 'webhook_deliveries', 'delivery_id');
