-- What forecasts ask beside daily spend: the tokens that a model was used for.

-- {"org_id","from" (YYYY-MM-DD, UTC),"to" (exclusive),"filter"?: {"model"?,"provider"?,"workflow_id"?,"node_id"?,"user_id"?}}
-- → [{"model","calls","prompt_tokens","completion_tokens","cache_read_tokens","cost_pusd"}], highest cost first, 100 at most.
CREATE FUNCTION public.forecast_mix(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  f jsonb := coalesce(nullif(p -> 'filter', 'null'), '{}');
BEGIN
  RETURN (SELECT coalesce(jsonb_agg(to_jsonb(m) ORDER BY m.cost_pusd DESC, m.model), '[]') FROM (
    SELECT c.model, sum(c.calls)::bigint AS calls, sum(c.prompt_tokens)::bigint AS prompt_tokens,
      sum(c.completion_tokens)::bigint AS completion_tokens, sum(c.cache_read_tokens)::bigint AS cache_read_tokens,
      sum(c.cost_pusd) AS cost_pusd
    FROM nodeai.usage_cells(org, (extract(epoch FROM (p ->> 'from')::date) * 1000000)::bigint,
      (extract(epoch FROM (p ->> 'to')::date) * 1000000)::bigint) c
    WHERE c.model IS NOT NULL
      AND (f ->> 'model' IS NULL OR c.model = f ->> 'model')
      AND (f ->> 'provider' IS NULL OR c.provider = f ->> 'provider')
      AND (f ->> 'workflow_id' IS NULL OR c.workflow_id = (f ->> 'workflow_id')::uuid)
      AND (f ->> 'node_id' IS NULL OR c.node_id = f ->> 'node_id')
      AND (f ->> 'user_id' IS NULL OR c.user_id = (f ->> 'user_id')::uuid)
    GROUP BY c.model ORDER BY sum(c.cost_pusd) DESC LIMIT 100) m);
END
$$;
SELECT nodeai.expose('public.forecast_mix(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('forecast_mix');
