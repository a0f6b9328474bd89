-- Running it: alerts, dashboards, budgets, feature flags, scores on traces.

CREATE TABLE public.alert_rules (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT alert_rules_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT alert_rules_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  kind text NOT NULL CONSTRAINT alert_rules_kind CHECK (kind IN ('threshold', 'anomaly', 'absence', 'burn_rate', 'budget')),
  condition jsonb NOT NULL,
  channels jsonb NOT NULL DEFAULT '[]',
  silenced_until timestamptz,
  enabled boolean NOT NULL DEFAULT true,
  evaluated_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alert_rules_org_idx ON public.alert_rules (org_id, id DESC);
CREATE INDEX alert_rules_due_idx ON public.alert_rules (evaluated_at) WHERE enabled;
SELECT nodeai.tenant_table('public.alert_rules');

CREATE TABLE public.alerts (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  rule_id uuid NOT NULL CONSTRAINT alerts_rule REFERENCES public.alert_rules (id) ON DELETE CASCADE,
  fingerprint text NOT NULL,
  state text NOT NULL DEFAULT 'open' CONSTRAINT alerts_state CHECK (state IN ('open', 'acknowledged', 'resolved')),
  details jsonb NOT NULL DEFAULT '{}',
  opened_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  resolved_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX alerts_open_unique ON public.alerts (rule_id, fingerprint) WHERE state <> 'resolved';
CREATE INDEX alerts_org_idx ON public.alerts (org_id, opened_at DESC, id DESC);
SELECT nodeai.tenant_table('public.alerts');
SELECT nodeai.belongs_to('public.alerts', 'alert_rules', 'rule_id');

CREATE TABLE public.dashboards (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT dashboards_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT dashboards_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  layout jsonb NOT NULL DEFAULT '[]',
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dashboards_org_idx ON public.dashboards (org_id, id DESC);
SELECT nodeai.tenant_table('public.dashboards');

-- A limit on cost or tokens for a subject and a period; `reserved_*` is held by running calls, `spent_*` is settled.
CREATE TABLE public.budgets (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT budgets_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT budgets_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  subject_kind text NOT NULL CONSTRAINT budgets_subject_kind
    CHECK (subject_kind IN ('organization', 'user', 'key', 'workflow')),
  subject_id uuid NOT NULL,
  period text NOT NULL DEFAULT 'month' CONSTRAINT budgets_period CHECK (period IN ('run', 'day', 'week', 'month', 'total')),
  period_start timestamptz NOT NULL DEFAULT now(),
  limit_pusd bigint CONSTRAINT budgets_limit_pusd CHECK (limit_pusd >= 0),
  limit_tokens bigint CONSTRAINT budgets_limit_tokens CHECK (limit_tokens >= 0),
  spent_pusd bigint NOT NULL DEFAULT 0,
  spent_tokens bigint NOT NULL DEFAULT 0,
  reserved_pusd bigint NOT NULL DEFAULT 0,
  reserved_tokens bigint NOT NULL DEFAULT 0,
  thresholds integer[] NOT NULL DEFAULT '{80,100}',
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT budgets_subject_unique UNIQUE (org_id, subject_kind, subject_id, period),
  CONSTRAINT budgets_has_limit CHECK (limit_pusd IS NOT NULL OR limit_tokens IS NOT NULL)
);
SELECT nodeai.tenant_table('public.budgets', 'viewer', 'admin');

CREATE TABLE public.feature_flags (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT feature_flags_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  key text NOT NULL CONSTRAINT feature_flags_key_format CHECK (key ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
  description text CONSTRAINT feature_flags_description_length CHECK (char_length(description) <= 2000),
  enabled boolean NOT NULL DEFAULT false,
  rules jsonb NOT NULL DEFAULT '[]' CONSTRAINT feature_flags_rules_list CHECK (jsonb_typeof(rules) = 'array'),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT feature_flags_key_unique UNIQUE (org_id, key)
);
SELECT nodeai.tenant_table('public.feature_flags', 'viewer', 'admin');

CREATE TABLE public.trace_scores (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT trace_scores_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  trace_id text NOT NULL,
  span_id text,
  name text NOT NULL CONSTRAINT trace_scores_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
  source text NOT NULL CONSTRAINT trace_scores_source CHECK (source IN ('human', 'code', 'judge')),
  score double precision,
  label text,
  comment text CONSTRAINT trace_scores_comment_length CHECK (char_length(comment) <= 10000),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX trace_scores_trace_idx ON public.trace_scores (org_id, trace_id);
CREATE INDEX trace_scores_name_idx ON public.trace_scores (org_id, name, created_at DESC);
SELECT nodeai.tenant_table('public.trace_scores');

SELECT nodeai.allow_write('alert_rules', '{name,kind,condition,channels,enabled}',
  '{name,condition,channels,enabled,silenced_until}');
SELECT nodeai.allow_write('alerts', '{rule_id,fingerprint,details}', '{state,details,resolved_at}');
SELECT nodeai.allow_write('dashboards', '{name,layout}', '{name,layout}');
SELECT nodeai.allow_write('budgets',
  '{name,subject_kind,subject_id,period,limit_pusd,limit_tokens,thresholds}', '{name,limit_pusd,limit_tokens,thresholds}');
SELECT nodeai.allow_write('feature_flags', '{key,description,enabled,rules}', '{description,enabled,rules}');
SELECT nodeai.allow_write('trace_scores', '{trace_id,span_id,name,source,score,label,comment}', '{score,label,comment}');
