-- Datasets of evaluations: items come in batches, each batch is a version of its dataset.

-- {"dataset_id","items":[{"id","question","expected","relevant","metadata","source_trace_id"}]}: adds them as the dataset's
-- next version.
CREATE FUNCTION nodeai.do_eval_import(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  dataset uuid := (args ->> 'dataset_id')::uuid;
  next integer;
  item jsonb;
BEGIN
  -- The row's lock lets one import in at a time.
  next := nodeai.change_row('eval_datasets', 'update', dataset, org, '{}', NULL);
  IF (SELECT count(*) FROM public.eval_items i WHERE i.dataset_id = dataset) + jsonb_array_length(args -> 'items') > 50000 THEN
    RAISE EXCEPTION 'a dataset has at most 50000 items' USING ERRCODE = 'NA409';
  END IF;
  FOR item IN SELECT i FROM jsonb_array_elements(args -> 'items') i LOOP
    PERFORM nodeai.insert_row('eval_items', (item ->> 'id')::uuid, org, (item - 'id')
      || jsonb_build_object('dataset_id', dataset, 'dataset_version', next));
  END LOOP;
  RETURN jsonb_build_object('version', next, 'body', jsonb_build_object('added', jsonb_array_length(args -> 'items')),
    'changes', jsonb_build_object('after', jsonb_build_object('added', jsonb_array_length(args -> 'items'))));
END
$$;
SELECT nodeai.expose('nodeai.do_eval_import(uuid, jsonb)', '{authenticated,service_role}');
