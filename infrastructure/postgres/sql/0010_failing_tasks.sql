-- So that the few tasks that failed are counted and listed without a look at all the others.
CREATE INDEX tasks_failing ON tasks (queue) WHERE problem IS NOT NULL;
