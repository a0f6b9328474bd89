-- What a fine-tuning job has made, beside the model that it was made of: two evaluations on the same questions, and a share of a deployment's
-- callers.

-- {"id": of the job,"evaluations": [{"id","row","most"?}]} → the ids of the evaluations, which go on by themselves.
CREATE FUNCTION nodeai.do_finetune_evaluate(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  one jsonb;
BEGIN
  IF NOT nodeai.caller_may(org, 'evaluations:run') THEN
    RAISE EXCEPTION 'may not evaluate' USING ERRCODE = 'insufficient_privilege';
  END IF;
  FOR one IN SELECT e FROM jsonb_array_elements(p #> '{args,evaluations}') e LOOP
    PERFORM nodeai.do_evaluation_create(org, jsonb_build_object('args', one));
  END LOOP;
  RETURN jsonb_build_object('changes', jsonb_build_object('evaluations', jsonb_path_query_array(p, '$.args.evaluations[*].id')));
END
$$;
SELECT nodeai.expose('nodeai.do_finetune_evaluate(uuid, jsonb)', '{authenticated,service_role}');

-- A job's model and what a deployment gives to everybody: {"id","org_id","deployment_id"} → {"job": {…},"workflow_id",
-- "workflow_version": of the deployment,"current": the workflow's,"definition"}, or null.
CREATE FUNCTION public.finetune_canary(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('job', to_jsonb(j), 'workflow_id', w.id, 'workflow_version', d.workflow_version, 'current', w.version,
    'definition', w.definition)
  FROM public.finetune_jobs j
  JOIN public.deployments d ON d.id = (p ->> 'deployment_id')::uuid AND d.org_id = j.org_id
  JOIN public.workflows w ON w.id = d.workflow_id AND w.org_id = d.org_id AND w.deleted_at IS NULL
  WHERE j.id = (p ->> 'id')::uuid AND j.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.finetune_canary(jsonb)', '{authenticated,service_role}');

-- {"id": of the job,"deployment_id","percent","save": arguments of a save of its workflow}: a new version of the workflow, for a share of
-- the deployment's callers.
CREATE FUNCTION nodeai.do_finetune_canary(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  made jsonb;
BEGIN
  IF NOT (nodeai.caller_may(org, 'workflows:write') AND nodeai.caller_may(org, 'deployments:write')) THEN
    RAISE EXCEPTION 'may not write workflows and deployments' USING ERRCODE = 'insufficient_privilege';
  END IF;
  made := nodeai.do_save_workflow(org, jsonb_build_object('args', args -> 'save'));
  PERFORM nodeai.do_deployment_canary(org, jsonb_build_object('args', jsonb_build_object('id', args -> 'deployment_id',
    'version', made -> 'version', 'percent', args -> 'percent')));
  RETURN jsonb_build_object('body', jsonb_build_object('deployment_id', args -> 'deployment_id', 'canary_version', made -> 'version',
      'canary_percent', args -> 'percent'),
    'changes', jsonb_build_object('deployment_id', args -> 'deployment_id', 'canary_version', made -> 'version'));
END
$$;
SELECT nodeai.expose('nodeai.do_finetune_canary(uuid, jsonb)', '{authenticated,service_role}');

SELECT nodeai.allow_call('finetune_canary');
