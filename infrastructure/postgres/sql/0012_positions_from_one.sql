-- Readers begin behind position 0: an event before that would count in its stream, and be read by
-- nobody.
ALTER TABLE events ADD CONSTRAINT events_from_one CHECK (notification_id > 0);
