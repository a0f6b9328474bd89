-- Ids of traces and spans are checked without a regular expression, which cost 5 to 11 microseconds for each id and row:
-- more than the rest of a row. The rule is the same (so many hex digits, lower case). The scan that proves it for the rows
-- that are there is the next migration, so that nobody waits for it under this one's lock.

ALTER TABLE public.spans
  DROP CONSTRAINT spans_trace_id, DROP CONSTRAINT spans_span_id, DROP CONSTRAINT spans_parent_span_id,
  ADD CONSTRAINT spans_trace_id
    CHECK (octet_length(trace_id) = 32 AND ltrim(trace_id, '0123456789abcdef') = '') NOT VALID,
  ADD CONSTRAINT spans_span_id
    CHECK (octet_length(span_id) = 16 AND ltrim(span_id, '0123456789abcdef') = '') NOT VALID,
  ADD CONSTRAINT spans_parent_span_id
    CHECK (octet_length(parent_span_id) = 16 AND ltrim(parent_span_id, '0123456789abcdef') = '') NOT VALID;

ALTER TABLE public.traces
  DROP CONSTRAINT traces_trace_id,
  ADD CONSTRAINT traces_trace_id
    CHECK (octet_length(trace_id) = 32 AND ltrim(trace_id, '0123456789abcdef') = '') NOT VALID;

ALTER TABLE public.execution_queue
  DROP CONSTRAINT execution_queue_trace_id, DROP CONSTRAINT execution_queue_span_id,
  DROP CONSTRAINT execution_queue_parent_span_id,
  ADD CONSTRAINT execution_queue_trace_id
    CHECK (octet_length(trace_id) = 32 AND ltrim(trace_id, '0123456789abcdef') = '') NOT VALID,
  ADD CONSTRAINT execution_queue_span_id
    CHECK (octet_length(span_id) = 16 AND ltrim(span_id, '0123456789abcdef') = '') NOT VALID,
  ADD CONSTRAINT execution_queue_parent_span_id
    CHECK (octet_length(parent_span_id) = 16 AND ltrim(parent_span_id, '0123456789abcdef') = '') NOT VALID;
