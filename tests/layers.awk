# layers.awk - awk -f layers.awk layers.table FILE...   (FILE: paths from the root of the tree)
# Prints each include that layers.table does not allow, and each that is not spelled from the root.

FILENAME == ARGV[1] {
	if ($0 !~ /^[ \t]*(#|$)/) {
		row = $1
		$1 = ""
		allowed[row] = $0
	}
	next
}

function starts(text, prefix) {
	return substr(text, 1, length(prefix)) == prefix
}

function row_of(file,    row, best) {
	best = ""
	for (row in allowed)
		if (starts(file, row) && length(row) > length(best))
			best = row
	return best
}

function complain(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text
	faults++
}

FNR == 1 {
	row = row_of(FILENAME)
	folder = FILENAME
	sub(/[^\/]*$/, "", folder)
	count = split(allowed[row], paths, " ")
	if (row == "")
		complain("no row of the layer table covers this file")
}

/^[ \t]*#[ \t]*include[ \t]*["<]/ {
	target = $0
	sub(/^[^"<]*/, "", target)
	quoted = starts(target, "\"")
	sub(/^["<]/, "", target)
	sub(/[">].*$/, "", target)
	if (!quoted && !starts(target, "gatehouse/"))
		next
	if (quoted && target == "config.h")
		next
	if (!quoted)
		target = "include/" target
	else if (!starts(target, "src/") && !starts(target, "transports/")) {
		complain("\"" target "\" is not spelled from the root of the tree")
		next
	}
	for (i = 1; i <= count; i++)
		if (starts(target, paths[i] == "." ? folder : paths[i]))
			next
	complain("a file of " row " may not include " target)
}

END {
	exit faults > 0
}
