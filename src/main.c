/* main.c - the program: picks the sub-command.  The only file that names concrete transports and back ends. */
#include <config.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts(PACKAGE_STRING);
		return 0;
	}
	return 2;
}
