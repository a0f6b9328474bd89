-- Evaluations, experiments and fine-tuning jobs.

CREATE TABLE public.eval_datasets (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT eval_datasets_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT eval_datasets_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  description text CONSTRAINT eval_datasets_description_length CHECK (char_length(description) <= 10000),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT eval_datasets_name_unique UNIQUE (org_id, name)
);
SELECT nodeai.tenant_table('public.eval_datasets');

CREATE TABLE public.eval_items (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  dataset_id uuid NOT NULL CONSTRAINT eval_items_dataset REFERENCES public.eval_datasets (id) ON DELETE CASCADE,
  dataset_version integer NOT NULL DEFAULT 1,
  question jsonb NOT NULL,
  expected jsonb,
  relevant jsonb NOT NULL DEFAULT '[]',
  metadata jsonb NOT NULL DEFAULT '{}',
  source_trace_id text,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX eval_items_dataset_idx ON public.eval_items (dataset_id, dataset_version, id);
CREATE INDEX eval_items_org_idx ON public.eval_items (org_id);
SELECT nodeai.tenant_table('public.eval_items');
SELECT nodeai.belongs_to('public.eval_items', 'eval_datasets', 'dataset_id');

CREATE TABLE public.evaluations (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT evaluations_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  dataset_id uuid NOT NULL CONSTRAINT evaluations_dataset REFERENCES public.eval_datasets (id) ON DELETE CASCADE,
  name text CONSTRAINT evaluations_name_length CHECK (char_length(name) <= 200),
  target jsonb NOT NULL,
  metrics text[] NOT NULL DEFAULT '{}',
  settings jsonb NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'queued'
    CONSTRAINT evaluations_status CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  progress jsonb NOT NULL DEFAULT '{}',
  summary jsonb,
  error jsonb,
  cost_pusd bigint NOT NULL DEFAULT 0,
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  started_at timestamptz,
  finished_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX evaluations_org_idx ON public.evaluations (org_id, id DESC);
CREATE INDEX evaluations_dataset_idx ON public.evaluations (dataset_id, id DESC);
CREATE INDEX evaluations_open_idx ON public.evaluations (lease_until, id) WHERE status IN ('queued', 'running');
SELECT nodeai.tenant_table('public.evaluations');
SELECT nodeai.belongs_to('public.evaluations', 'eval_datasets', 'dataset_id');

-- A failed judgement has no score and says why.
CREATE TABLE public.eval_results (
  org_id uuid NOT NULL,
  evaluation_id uuid NOT NULL CONSTRAINT eval_results_evaluation REFERENCES public.evaluations (id) ON DELETE CASCADE,
  item_id uuid NOT NULL CONSTRAINT eval_results_item REFERENCES public.eval_items (id) ON DELETE CASCADE,
  metric text NOT NULL,
  score double precision CONSTRAINT eval_results_score_is_number CHECK (score <> 'NaN'),
  reason text,
  verdicts jsonb,
  answer jsonb,
  trace_id text,
  cost_pusd bigint NOT NULL DEFAULT 0,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (evaluation_id, item_id, metric),
  CONSTRAINT eval_results_score_or_reason CHECK (score IS NOT NULL OR reason IS NOT NULL)
);
CREATE INDEX eval_results_org_idx ON public.eval_results (org_id, at DESC);
CREATE INDEX eval_results_item_idx ON public.eval_results (item_id);
SELECT nodeai.tenant_table('public.eval_results', 'viewer', 'editor', 'SELECT, INSERT');
SELECT nodeai.belongs_to('public.eval_results', 'evaluations', 'evaluation_id');

CREATE TABLE public.experiments (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT experiments_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  knowledge_base_id uuid CONSTRAINT experiments_knowledge_base REFERENCES public.knowledge_bases (id) ON DELETE CASCADE,
  dataset_id uuid CONSTRAINT experiments_dataset REFERENCES public.eval_datasets (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT experiments_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  search_space jsonb NOT NULL,
  budget jsonb NOT NULL DEFAULT '{}',
  seed bigint NOT NULL DEFAULT 0,
  status text NOT NULL DEFAULT 'queued'
    CONSTRAINT experiments_status CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  progress jsonb NOT NULL DEFAULT '{}',
  outcome jsonb,
  cost_pusd bigint NOT NULL DEFAULT 0,
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  applied_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX experiments_org_idx ON public.experiments (org_id, id DESC);
CREATE INDEX experiments_base_idx ON public.experiments (knowledge_base_id);
CREATE INDEX experiments_dataset_idx ON public.experiments (dataset_id);
CREATE INDEX experiments_open_idx ON public.experiments (lease_until, id) WHERE status IN ('queued', 'running');
SELECT nodeai.tenant_table('public.experiments');
SELECT nodeai.belongs_to('public.experiments', 'knowledge_bases', 'knowledge_base_id');
SELECT nodeai.belongs_to('public.experiments', 'eval_datasets', 'dataset_id');

CREATE TABLE public.experiment_trials (
  org_id uuid NOT NULL,
  experiment_id uuid NOT NULL CONSTRAINT experiment_trials_experiment
    REFERENCES public.experiments (id) ON DELETE CASCADE,
  number integer NOT NULL,
  settings jsonb NOT NULL,
  scores jsonb NOT NULL DEFAULT '{}',
  cost_pusd bigint NOT NULL DEFAULT 0,
  latency_us bigint,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (experiment_id, number)
);
CREATE INDEX experiment_trials_org_idx ON public.experiment_trials (org_id);
SELECT nodeai.tenant_table('public.experiment_trials', 'viewer', 'editor', 'SELECT, INSERT, UPDATE');
SELECT nodeai.belongs_to('public.experiment_trials', 'experiments', 'experiment_id');

CREATE TABLE public.finetune_jobs (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT finetune_jobs_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  provider text NOT NULL,
  provider_job_id text,
  base_model text NOT NULL,
  result_model text,
  file_id uuid,
  settings jsonb NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'queued' CONSTRAINT finetune_jobs_status
    CHECK (status IN ('checking', 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
  metrics jsonb NOT NULL DEFAULT '{}',
  error jsonb,
  estimated_cost_pusd bigint,
  finished_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT finetune_jobs_provider_job_unique UNIQUE (org_id, provider, provider_job_id)
);
CREATE INDEX finetune_jobs_org_idx ON public.finetune_jobs (org_id, id DESC);
CREATE INDEX finetune_jobs_open_idx ON public.finetune_jobs (updated_at) WHERE status IN ('checking', 'queued', 'running');
SELECT nodeai.tenant_table('public.finetune_jobs');

-- Entries of the organisation beside the built-in model catalogue.
CREATE TABLE public.model_overrides (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT model_overrides_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  model text NOT NULL CONSTRAINT model_overrides_model_length CHECK (char_length(model) BETWEEN 1 AND 200),
  entry jsonb NOT NULL,
  effective_from date,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX model_overrides_model_unique ON public.model_overrides (org_id, model, coalesce(effective_from, '-infinity'));
SELECT nodeai.tenant_table('public.model_overrides', 'viewer', 'admin');

CREATE TABLE public.prompts (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT prompts_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT prompts_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  labels text[] NOT NULL DEFAULT '{}',
  template jsonb NOT NULL,
  number integer NOT NULL DEFAULT 1,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT prompts_name_unique UNIQUE (org_id, name, number)
);
SELECT nodeai.tenant_table('public.prompts');

SELECT nodeai.allow_write('eval_datasets', '{name,description}', '{name,description}');
SELECT nodeai.allow_write('eval_items',
  '{id,dataset_id,dataset_version,question,expected,relevant,metadata,source_trace_id}', '{question,expected,relevant,metadata}');
SELECT nodeai.allow_write('evaluations', '{dataset_id,name,target,metrics,settings}',
  '{name,status,progress,summary,error,cost_pusd,started_at,finished_at}');
SELECT nodeai.allow_write('experiments', '{knowledge_base_id,dataset_id,name,search_space,budget,seed}',
  '{name,status,progress,outcome,cost_pusd,applied_at}');
SELECT nodeai.allow_write('finetune_jobs',
  '{provider,provider_job_id,base_model,file_id,settings,status,estimated_cost_pusd}',
  '{provider_job_id,result_model,status,metrics,error,finished_at}');
SELECT nodeai.allow_write('model_overrides', '{model,entry,effective_from}', '{entry,effective_from}');
SELECT nodeai.allow_write('prompts', '{name,labels,template,number}', '{labels}');
