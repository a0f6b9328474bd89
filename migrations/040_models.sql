-- Models of the organisation's own: served by itself, fine-tuned, or newer than the built-in catalogue.

CREATE TABLE public.own_models (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT own_models_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  model text NOT NULL CONSTRAINT own_models_model_form CHECK (char_length(model) BETWEEN 3 AND 200 AND position('/' IN model) > 1),
  base_url text CONSTRAINT own_models_base_url_length CHECK (char_length(base_url) BETWEEN 1 AND 2000),
  key_secret text CONSTRAINT own_models_key_secret_length CHECK (char_length(key_secret) BETWEEN 1 AND 100),
  facts jsonb NOT NULL CONSTRAINT own_models_facts_object CHECK (jsonb_typeof(facts) = 'object'),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX own_models_model_unique ON public.own_models (org_id, lower(model));
CREATE INDEX own_models_org_idx ON public.own_models (org_id, id DESC);
SELECT nodeai.tenant_table('public.own_models');
SELECT nodeai.allow_write('own_models', '{model,base_url,key_secret,facts}', '{base_url,key_secret,facts}');

-- What the catalogue of models depends on in an organisation, by its caller's rights.
-- {"org_id"} → {"own":[{"id","version","model","base_url","key_secret","facts"}],
--   "prices":[{"id","version","model","effective_from","tier","usd","basis_points"}],"secrets":[name…]}
CREATE FUNCTION public.models_context(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT jsonb_build_object(
    'own', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'version', o.version, 'model', o.model,
        'base_url', o.base_url, 'key_secret', o.key_secret, 'facts', o.facts) ORDER BY o.id), '[]')
      FROM (SELECT * FROM public.own_models m WHERE m.org_id = (p ->> 'org_id')::uuid ORDER BY m.id DESC LIMIT 1000) o),
    'prices', (SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('id', o.id, 'version', o.version, 'model', o.model,
        'effective_from', o.effective_from, 'tier', o.entry -> 'tier', 'usd', o.entry -> 'usd',
        'basis_points', o.entry -> 'basis_points')) ORDER BY o.id), '[]')
      FROM (SELECT * FROM public.model_overrides m WHERE m.org_id = (p ->> 'org_id')::uuid ORDER BY m.id DESC LIMIT 1000) o),
    'secrets', (SELECT coalesce(jsonb_agg(DISTINCT v.name), '[]')
      FROM public.secrets_vault v WHERE v.org_id = (p ->> 'org_id')::uuid));
$$;
SELECT nodeai.expose('public.models_context(jsonb)', '{authenticated}');
