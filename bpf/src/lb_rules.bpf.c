// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The generation of the balancer's rules; the agent keeps its own beside its flow table. */
#include "generation.h"
