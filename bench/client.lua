-- SPDX-License-Identifier: Apache-2.0
--
-- wrk -s client.lua URL -- [headers=FILE] [cold=PREFIX [from=N]]
--                         [random=PREFIX of=N] [put=PREFIX size=N of=N]
--
-- headers: sends these with every request. cold: asks for another key each
-- time, PREFIX and a number (after N). random: PREFIX and one of N numbers.
-- put: PUTs of a body of that size to each of N keys in turn.
-- What was measured is printed as a line of JSON.

function init(args)
   local cold, random, put, n, of, size = nil, nil, nil, 0, 1, 0

   for _, word in ipairs(args) do
      local file = word:match("^headers=(.*)")
      if file then
         for line in io.lines(file) do
            local name, value = line:match("^([^:]+):%s*(.*)$")
            wrk.headers[name] = value
         end
      end
      cold = cold or word:match("^cold=(.*)")
      random = random or word:match("^random=(.*)")
      put = put or word:match("^put=(.*)")
      size = tonumber(word:match("^size=(.*)")) or size
      n = tonumber(word:match("^from=(.*)")) or n
      of = tonumber(word:match("^of=(.*)")) or of
   end

   if cold then
      request = function()
         n = n + 1
         return wrk.format("GET", cold .. n)
      end
   elseif put then
      -- made once: a body of a mebibyte is not copied for each request
      local ready = {}
      for i = 1, of do
         ready[i] = wrk.format("PUT", put .. i, nil, string.rep("x", size))
      end
      request = function()
         n = n % of + 1
         return ready[n]
      end
   elseif random then
      math.randomseed(os.time())
      request = function()
         return wrk.format("GET", random .. math.random(of))
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
