/* A growing list of durations in nanoseconds, and its quantiles. */
#ifndef SERIES_H
#define SERIES_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct series {
    int64_t *values;
    size_t length, room;
};

static void note(struct series *series, int64_t value)
{
    if (series->length == series->room) {
        series->room = series->room ? 2 * series->room : 65536;
        series->values = realloc(series->values, series->room * sizeof *series->values);
        if (!series->values) {
            perror("realloc");
            exit(1);
        }
    }
    series->values[series->length++] = value;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort(struct series *series)
{
    if (series->length)
        qsort(series->values, series->length, sizeof *series->values, by_size);
}

/* Of a sorted one; 0 when it is empty. */
static double quantile_ms(const struct series *series, double share)
{
    return series->length ? (double)series->values[(size_t)(share * (double)(series->length - 1))] / 1e6 : 0;
}

#endif
