SET LOCAL statement_timeout = '500ms';
SELECT pos, cardinality(key) AS records FROM hotshelf.sequence(0, {limit})
