/* Preloaded into a program: writes down the option table it hands to getopt, then lets it go on.
 *
 * One row a call into the file named by GETOPT_TABLE: the short options as they stand, then each
 * long one as --name, --name= (a value) or --name[=] (an optional value).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char *seen_short;
static const struct option *seen_long;

static void
note (const char *letters, const struct option *names)
{
  const char *file = getenv ("GETOPT_TABLE");
  FILE *out;

  if (file == NULL || (letters == seen_short && names == seen_long))
    return;
  seen_short = letters;
  seen_long = names;
  out = fopen (file, "a");
  if (out == NULL)
    return;
  for (; *letters != '\0'; letters++) /* other characters stand for long options; `?` is skipped by the reader */
    fputc (*letters > ' ' && *letters <= '~' ? *letters : '?', out);
  for (; names != NULL && names->name != NULL; names++)
    fprintf (out, "\t--%s%s", names->name, names->has_arg == 0 ? "" : names->has_arg == 1 ? "=" : "[=]");
  fputc ('\n', out);
  fclose (out);
}

int
getopt (int argc, char *const argv[], const char *letters)
{
  int (*next) (int, char *const[], const char *) = dlsym (RTLD_NEXT, "getopt");
  note (letters, NULL);
  return next (argc, argv, letters);
}

int
getopt_long (int argc, char *const argv[], const char *letters, const struct option *names, int *index)
{
  int (*next) (int, char *const[], const char *, const struct option *, int *) = dlsym (RTLD_NEXT, "getopt_long");
  note (letters, names);
  return next (argc, argv, letters, names, index);
}

int
getopt_long_only (int argc, char *const argv[], const char *letters, const struct option *names, int *index)
{
  int (*next) (int, char *const[], const char *, const struct option *, int *) = dlsym (RTLD_NEXT, "getopt_long_only");
  note (letters, names);
  return next (argc, argv, letters, names, index);
}
