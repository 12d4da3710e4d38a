-- SPDX-License-Identifier: Apache-2.0
--
-- wrk -s client.lua URL -- [headers=FILE] [cold=PREFIX]
--
-- headers: sends these with every request. cold: asks for another key each
-- time, PREFIX and a number. What was measured is printed as a line of JSON.

function init(args)
   local cold

   for _, word in ipairs(args) do
      local file = word:match("^headers=(.*)")
      if file then
         for line in io.lines(file) do
            local name, value = line:match("^([^:]+):%s*(.*)$")
            wrk.headers[name] = value
         end
      end
      cold = cold or word:match("^cold=(.*)")
   end

   if cold then
      local n = 0
      request = function()
         n = n + 1
         return wrk.format("GET", cold .. n)
      end
   end
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\nJSON {"requests": %d, "bytes": %d, "us": %d, "bad": %d, ' ..
      '"p50_us": %d, "p99_us": %d}\n',
      summary.requests, summary.bytes, summary.duration,
      errors.connect + errors.read + errors.write + errors.status
      + errors.timeout,
      latency:percentile(50), latency:percentile(99)))
end
