#include "tests/faults/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_child(const struct run *run, int out, int err)
{
	char first[24], count[24], batch[24];
	snprintf(first, sizeof first, "%lu", run->first);
	snprintf(count, sizeof count, "%lu", run->count);
	snprintf(batch, sizeof batch, "%u", run->batch);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	setenv("GATEHOUSE_FAULTS_ROOT", run->directory, 1);
	if (run->faults)
		setenv("GATEHOUSE_FAULTS", run->faults, 1);
	if (run->shadow)
		setenv("GATEHOUSE_FAULTS_SHADOW", run->shadow, 1);
	if (run->faults || run->shadow)
		setenv("LD_PRELOAD", FAULTS, 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
	execl(VICTIM, "victim", run->directory, first, count, batch, run->mode ? run->mode : "", (char *)NULL);
	_exit(127);
}

static void run_line(struct run *run, uint64_t *acks, const char *line)
{
	unsigned partition;
	unsigned long long offset;
	unsigned long number;
	char status[24];
	if (sscanf(line, "ack %u %llu %lu", &partition, &offset, &number) == 3 && number < RUN_NUMBERS_MAX) {
		acks[number] = offset + 1;
		run->acks++;
		run->acks_after_nak += run->naks > 0;
	} else if (sscanf(line, "nak %23s %lu", status, &number) == 2) {
		if (run->naks++ == 0)
			strcpy(run->nak_status, status);
	} else if (strncmp(line, "health ", 7) == 0)
		snprintf(run->health, sizeof run->health, "%.399s", line + 7);
}

bool run_victim(struct run *run, uint64_t *acks)
{
	int out[2], err[2];
	if (pipe(out) || pipe(err))
		return false;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		run_child(run, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	FILE *lines = fdopen(out[0], "r");
	char line[500];
	bool killed = false;
	/* What still stands in the pipe after the kill was acknowledged too. */
	while (child > 0 && lines && fgets(line, sizeof line, lines)) {
		if (strchr(line, '\n'))
			run_line(run, acks, line);
		if (run->kill_after && run->acks >= run->kill_after && !killed) {
			kill(child, SIGKILL);
			killed = true;
		}
	}
	ssize_t n = read(err[0], run->complaint, sizeof run->complaint - 1);
	run->complaint[n > 0 ? n : 0] = '\0';
	if (lines)
		fclose(lines);
	close(err[0]);
	int status = 0;
	if (child > 0)
		waitpid(child, &status, 0);
	run->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return child > 0;
}
