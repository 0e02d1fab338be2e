# The Makefile of the program, and how a measuring program is made: it has a main of its own.
#
#     make -f bench/bench.mk build/bench/crypto
include Makefile

$(B)/bench/%: bench/%.c $(LIB)
	@mkdir -p $(@D)
	@echo "  BENCH   $<"
	@$(CC) $(CPPFLAGS) -Itests -I. $(CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LIB) $(LDFLAGS) $(LDLIBS)

-include $(wildcard $(B)/bench/*.d)
