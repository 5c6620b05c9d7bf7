# Makes docs/limits.md from include/gatehouse/limits.def: awk -f docs/limits.awk include/gatehouse/limits.def
BEGIN {
	print "# Limits\n"
	print "Made from `include/gatehouse/limits.def` by `make limits-page`; do not edit. Each row is a key under `limits:` in the"
	print "configuration. The unit is the word before `_max` or `_min`: `ms` milliseconds, `us` microseconds, `s` seconds, `bytes`,"
	print "otherwise a count.\n"
	print "| limit | default | range | what it bounds |"
	print "| --- | ---: | --- | --- |"
}
/^LIMIT\(/ {
	row = $0
	sub(/^LIMIT\(/, "", row)
	split(row, part, ", ")
	text = $0
	sub(/^[^"]*"/, "", text)
	sub(/"\)$/, "", text)
	printf "| `%s` | %s | %s to %s | %s |\n", part[1], part[2], part[3], part[4], text
}
