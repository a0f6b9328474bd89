-- Events of workflows' own, sent to one webhook: the deliveries are those of every other event.

-- {"id","delivery_id","event_type","data"}: for this webhook alone, whatever it subscribes to.
CREATE FUNCTION nodeai.do_webhook_send(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  w public.webhooks := nodeai.sending_webhook(org, (args ->> 'id')::uuid);
  d public.webhook_deliveries;
BEGIN
  INSERT INTO public.webhook_deliveries (id, org_id, webhook_id, event_type, payload, next_at, created_by)
    VALUES ((args ->> 'delivery_id')::uuid, org, w.id, args ->> 'event_type',
      nodeai.event_payload(args ->> 'event_type', args -> 'data'), greatest(clock_timestamp(), w.throttled_until), auth.uid())
    RETURNING * INTO d;
  RETURN nodeai.delivery_queued(d);
END
$$;
SELECT nodeai.expose('nodeai.do_webhook_send(uuid, jsonb)', '{authenticated,service_role}');
