// Convolution at stride 1 without a patch matrix: docs/en/native.md explains it.
//
// Images are in one of two forms. In blocks (first part) examples are the last axis, so a vector of
// the processor holds the same pixel of several examples; channels last (second part), it holds
// several channels of one pixel. Either way no vector ever has to be rearranged.
//
// Every sum has a fixed order, so the result depends on the inputs and on the width of a vector
// alone. A handler keeps nothing between calls and starts no thread.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

// Vectors are the compiler's (GCC and Clang): + and * work lane by lane, on any processor.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kSums = 24;  // numbers in a register; registers that hold sums
#elif defined(__AVX__)
constexpr int kLanes = 8, kSums = 12;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kSums = 24;
#else
constexpr int kLanes = 4, kSums = 12;
#endif
typedef float Vector __attribute__((vector_size(4 * kLanes)));

// The first `count` numbers at p, then zeros; of a `whole` vector all.
template <bool whole>
inline Vector Load(const float* p, int64_t count = kLanes) {
  Vector found = {};
  std::memcpy(&found, p, whole ? sizeof found : 4 * count);
  return found;
}

template <bool whole>
inline void Store(float* p, Vector value, int64_t count = kLanes) {
  std::memcpy(p, &value, whole ? sizeof value : 4 * count);
}

// The largest tile: channels are divided evenly, 16 as 6 + 5 + 5 where registers hold 6 × 2 sums.
int64_t Tile(int64_t channels, int64_t most) {
  const int64_t tiles = (channels + most - 1) / most;
  return (channels + tiles - 1) / tiles;
}

// Call `f` with n, from 1 to `most`, as a constant of the compiler's.
template <int most, typename F>
void Sized(int64_t n, F f) {
  if constexpr (most > 1) {
    if (n < most) return Sized<most - 1>(n, f);
  }
  f(std::integral_constant<int, most>());
}

using F32 = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;
using Shape = ffi::AnyBuffer::Dimensions;
using Grid = ffi::Span<const int64_t>;

// ---- Blocks: y[d, i, j] = bias[d] + Σ_c Σ_u Σ_v kernel[u, v, c, d] · x[c, i+u−top, j+v−left] ----
//
// [t, t, C, n, m, B], as lenet/ops/blocks.py has them: pixel (i·t + a, j·t + b) of channel c of
// example e is at [a, b, c, i, j, e]. A handler gets the last three axes as one, and (n, m): XLA
// fuses what is before it into one loop, which then works out no row and column.

// Channel c of pixel (y, x) is at c·plane + row[y] + column[x].
struct Layout {
  int64_t channels, height, width, batch, plane;
  std::vector<int64_t> row, column;

  Layout(Shape d, Grid grid)  // [t, t, C, n·m·B]
      : channels(d[2]), height(d[0] * grid[0]), width(d[1] * grid[1]),
        batch(d[3] / (grid[0] * grid[1])), plane(d[3]), row(height), column(width) {
    for (int64_t y = 0; y < height; ++y) {
      row[y] = y % d[0] * d[1] * channels * plane + y / d[0] * grid[1] * batch;
    }
    for (int64_t x = 0; x < width; ++x) {
      column[x] = x % d[1] * channels * plane + x / d[1] * batch;
    }
  }
};

// The part of a window that lies within the images: rows and columns of the kernel.
struct Window {
  int64_t y, x;                                   // of its corner, which may lie outside
  int64_t first_row, end_row, first_column, end_column;
};

struct Correlation {
  const float *x, *kernel, *bias;
  float* y;
  Layout from, to;
  int64_t kernel_width;
};

// One pixel of `outputs` channels from d on, for `vectors` vectors of examples from e on. All sums
// stay in registers: each vector that is read meets `outputs` weights, each weight `vectors`.
template <int outputs, int vectors, bool whole>
void Pixel(const Correlation& all, const Window& window, float* y, int64_t d, int64_t e) {
  const int64_t ci = all.from.channels, co = all.to.channels, count = all.from.batch - e;
  Vector sum[outputs][vectors];
  for (int r = 0; r < outputs; ++r) {
    for (int k = 0; k < vectors; ++k) sum[r][k] = Vector{} + all.bias[d + r];
  }
  for (int64_t c = 0; c < ci; ++c) {
    for (int64_t u = window.first_row; u < window.end_row; ++u) {
      const float* line = all.x + c * all.from.plane + all.from.row[window.y + u] + e;
      const float* weights = all.kernel + (u * all.kernel_width * ci + c) * co + d;
      for (int64_t v = window.first_column; v < window.end_column; ++v) {
        const float* pixel = line + all.from.column[window.x + v];
        const float* weight = weights + v * ci * co;
        Vector in[vectors];
        for (int k = 0; k < vectors; ++k) in[k] = Load<whole>(pixel + k * kLanes, count);
        for (int r = 0; r < outputs; ++r) {
          for (int k = 0; k < vectors; ++k) sum[r][k] += in[k] * weight[r];
        }
      }
    }
  }
  for (int r = 0; r < outputs; ++r) {
    for (int k = 0; k < vectors; ++k) {
      Store<whole>(y + r * all.to.plane + k * kLanes, sum[r][k], count);
    }
  }
}

// `outputs` channels from d on of one pixel, for all examples.
template <int outputs>
void Pixels(const Correlation& all, const Window& window, float* y, int64_t d) {
  constexpr int vectors = std::max(1, std::min(4, kSums / outputs));
  int64_t e = 0;
  for (; e + vectors * kLanes <= all.to.batch; e += vectors * kLanes) {
    Pixel<outputs, vectors, true>(all, window, y + e, d, e);
  }
  for (; e + kLanes <= all.to.batch; e += kLanes) {
    Pixel<outputs, 1, true>(all, window, y + e, d, e);
  }
  if (e < all.to.batch) Pixel<outputs, 1, false>(all, window, y + e, d, e);
}

constexpr int kOutputs = kSums > 12 ? 8 : 6;  // channels of a tile, at most

ffi::Error Correlate(F32 x, F32 kernel, F32 bias, Result y, Grid from, Grid to, int64_t top,
                     int64_t left) {
  const auto sides = kernel.dimensions();
  const Correlation all{x.typed_data(), kernel.typed_data(), bias.typed_data(), y->typed_data(),
                        Layout(x.dimensions(), from), Layout(y->dimensions(), to), sides[1]};
  const int64_t tile = Tile(all.to.channels, kOutputs);
  for (int64_t i = 0; i < all.to.height; ++i) {
    for (int64_t j = 0; j < all.to.width; ++j) {
      const int64_t row = i - top, column = j - left;
      const Window window{row, column,
                          std::max<int64_t>(0, -row), std::min(sides[0], all.from.height - row),
                          std::max<int64_t>(0, -column), std::min(sides[1], all.from.width - column)};
      float* pixel = all.y + all.to.row[i] + all.to.column[j];
      for (int64_t d = 0; d < all.to.channels; d += tile) {
        Sized<kOutputs>(std::min(tile, all.to.channels - d), [&](auto outputs) {
          Pixels<outputs>(all, window, pixel + d * all.to.plane, d);
        });
      }
    }
  }
  return ffi::Error::Success();
}

// ---- dk[u, v, c, d] = Σ_i Σ_j Σ_e x[c, i + u, j + v, e] · dy[d, i, j, e];  db[d] = Σ dy[d] ----

struct Gradient { const float *x, *dy; Layout from, to; };

// What row i of the outputs adds to a tile of the kernel's gradient, row u and channel c: `columns`
// columns from v on and `outputs` channels from d on. Each lane of a vector has a sum of its own.
template <int columns, int outputs>
void Row(const Gradient& all, int64_t i, int64_t u, int64_t v, int64_t c, int64_t d, Vector* sums) {
  const float* line = all.x + c * all.from.plane + all.from.row[i + u];
  const float* above = all.dy + d * all.to.plane + all.to.row[i];
  const int64_t batch = all.to.batch, rest = batch % kLanes;
  Vector sum[columns][outputs] = {};
  const auto along = [&](int64_t j, int64_t e, int64_t count, auto whole) {
    const float* x[columns];
    for (int k = 0; k < columns; ++k) x[k] = line + all.from.column[j + v + k];
    const float* dy = above + all.to.column[j];
    for (; e + count <= batch; e += count) {
      Vector out[outputs];
      for (int r = 0; r < outputs; ++r) out[r] = Load<whole>(dy + r * all.to.plane + e, count);
      for (int k = 0; k < columns; ++k) {
        const Vector in = Load<whole>(x[k] + e, count);
        for (int r = 0; r < outputs; ++r) sum[k][r] += in * out[r];
      }
    }
  };
  for (int64_t j = 0; j < all.to.width; ++j) along(j, 0, kLanes, std::true_type{});
  for (int64_t j = 0; rest && j < all.to.width; ++j) along(j, batch - rest, rest, std::false_type{});
  for (int k = 0; k < columns; ++k) {  // by row first: fewer numbers in each sum, less rounding
    for (int r = 0; r < outputs; ++r) sums[k * all.from.channels * all.to.channels + r] += sum[k][r];
  }
}

constexpr int kColumns = 5, kDeep = kSums > 12 ? 4 : 2;  // sizes of a tile, at most

float Sum(const Vector& lanes) {
  float sum = 0;
  for (int k = 0; k < kLanes; ++k) sum += lanes[k];
  return sum;
}

ffi::Error KernelGradient(F32 x, F32 dy, Result kernel, Result bias, Grid from, Grid to) {
  const Gradient all{x.typed_data(), dy.typed_data(), Layout(x.dimensions(), from),
                     Layout(dy.dimensions(), to)};
  const int64_t kh = kernel->dimensions()[0], kw = kernel->dimensions()[1];
  const int64_t ci = all.from.channels, co = all.to.channels, batch = all.to.batch;
  const int64_t across = Tile(kw, kColumns), deep = Tile(co, kDeep);
  std::vector<Vector> total(kh * kw * ci * co), biases(co);
  for (int64_t i = 0; i < all.to.height; ++i) {
    for (int64_t d = 0; d < co; d += deep) {
      for (int64_t c = 0; c < ci; ++c) {
        for (int64_t u = 0; u < kh; ++u) {
          for (int64_t v = 0; v < kw; v += across) {
            Sized<kColumns>(std::min(across, kw - v), [&](auto columns) {
              Sized<kDeep>(std::min(deep, co - d), [&](auto outputs) {
                Row<columns, outputs>(all, i, u, v, c, d, &total[((u * kw + v) * ci + c) * co + d]);
              });
            });
          }
        }
      }
    }
    for (int64_t d = 0; d < co; ++d) {
      for (int64_t j = 0; j < all.to.width; ++j) {
        const float* pixel = all.dy + d * all.to.plane + all.to.row[i] + all.to.column[j];
        int64_t e = 0;
        for (; e + kLanes <= batch; e += kLanes) biases[d] += Load<true>(pixel + e);
        if (e < batch) biases[d] += Load<false>(pixel + e, batch - e);
      }
    }
  }
  std::transform(total.begin(), total.end(), kernel->typed_data(), Sum);
  std::transform(biases.begin(), biases.end(), bias->typed_data(), Sum);
  return ffi::Error::Success();
}

// ---- Channels last: y[n, d] = Σ_u Σ_t x[corner(n) + u·row + t] · kernel[u, t, d] ----
//
// Images are [B, H, W, C], as Flax has them, with zeros around them. A row of a window is a run of
// neighbouring numbers, t: columns and channels. A vector holds channels of the outputs.

struct Windows {
  int64_t images, height, width, channels, rows, run, outputs, top, left, terms, pixels;
  int64_t row;                  // numbers in a row of an image with its zeros
  std::vector<int64_t> corner;  // where the window of each pixel of y begins
  std::vector<float> padded;    // an image with its zeros, if it has any

  Windows(Shape x, Shape kernel, Shape y, int64_t top, int64_t left)
      : images(x[0]), height(x[1]), width(x[2]), channels(x[3]), rows(kernel[0]),
        run(kernel[1] * x[3]), outputs(y[3]), top(top), left(left), terms(rows * run),
        pixels(y[1] * y[2]), row((y[2] + kernel[1] - 1) * x[3]), corner(pixels),
        padded(y[1] + rows - 1 == height && row == width * x[3] ? 0 : (y[1] + rows - 1) * row) {
    for (int64_t n = 0; n < pixels; ++n) corner[n] = n / y[2] * row + n % y[2] * channels;
  }

  const float* Padded(const float* image) {
    for (int64_t i = 0; i < height && !padded.empty(); ++i) {
      std::copy_n(image + i * width * channels, width * channels,
                  &padded[(top + i) * row + left * channels]);
    }
    return padded.empty() ? image : padded.data();
  }
};

// Registers hold the sums of `vectors` vectors of outputs for `deep` pixels, or for `deep` terms.
template <int vectors>
struct Last {
  static constexpr int deep = std::min(8, kSums / vectors), wide = vectors * kLanes;

  template <int pixels>
  static void Pixels(const Windows& all, const float* image, const int64_t* corner,
                     const float* weight, float* y, int64_t outputs) {
    const float* x[pixels];
    for (int p = 0; p < pixels; ++p) x[p] = image + corner[p];
    Vector sum[pixels][vectors] = {};
    for (int64_t u = 0; u < all.rows; ++u) {
      for (int64_t t = u * all.row; t < u * all.row + all.run; ++t, weight += wide) {
        for (int k = 0; k < vectors; ++k) {
          const Vector w = Load<true>(weight + k * kLanes);
          for (int p = 0; p < pixels; ++p) sum[p][k] += w * x[p][t];
        }
      }
    }
    for (int p = 0; p < pixels; ++p, y += all.outputs) {
      float part[wide], *place = outputs < wide ? part : y;
      for (int k = 0; k < vectors; ++k) Store<true>(place + k * kLanes, sum[p][k]);
      if (outputs < wide) std::copy_n(part, outputs, y);
    }
  }

  static void Correlate(Windows& all, const float* x, const float* kernel, float* y) {
    std::vector<float> weights((all.outputs + wide - 1) / wide * all.terms * wide);
    for (int64_t d = 0; d < all.outputs; d += wide) {  // to [groups of outputs, terms, wide]
      for (int64_t t = 0; t < all.terms; ++t) {
        std::copy_n(kernel + t * all.outputs + d, std::min<int64_t>(wide, all.outputs - d),
                    &weights[d * all.terms + t * wide]);
      }
    }
    for (int64_t b = 0; b < all.images; ++b, y += all.pixels * all.outputs) {
      const float* image = all.Padded(x + b * all.height * all.width * all.channels);
      const auto write = [&](int64_t n, auto pixels) {
        for (int64_t d = 0; d < all.outputs; d += wide) {
          Pixels<pixels>(all, image, &all.corner[n], &weights[d * all.terms],
                         y + n * all.outputs + d, std::min<int64_t>(wide, all.outputs - d));
        }
      };
      int64_t n = 0;
      for (; n + deep <= all.pixels; n += deep) write(n, std::integral_constant<int, deep>());
      for (; n < all.pixels; ++n) write(n, std::integral_constant<int, 1>());
    }
  }

  static void Gradient(Windows& all, const float* x, const float* dy, float* kernel) {
    const int64_t tiles = (all.terms + deep - 1) / deep;
    const int64_t outputs = (all.outputs + wide - 1) / wide * wide;
    std::vector<int64_t> place(tiles * deep);  // of each term in a window
    for (int64_t t = 0; t < all.terms; ++t) place[t] = t / all.run * all.row + t % all.run;
    std::vector<float> filled(all.outputs < outputs ? all.pixels * outputs : 0);
    std::vector<float> total(tiles * deep * outputs);
    for (int64_t b = 0; b < all.images; ++b, dy += all.pixels * all.outputs) {
      const float* image = all.Padded(x + b * all.height * all.width * all.channels);
      for (int64_t n = 0; n < all.pixels && !filled.empty(); ++n) {
        std::copy_n(dy + n * all.outputs, all.outputs, &filled[n * outputs]);
      }
      for (int64_t i = 0; i < tiles * outputs; i += wide) {
        const int64_t tile = i / outputs * deep, d = i % outputs;
        const float* out = (filled.empty() ? dy : filled.data()) + d;
        int64_t at[deep];
        std::copy_n(&place[tile], deep, at);
        Vector sum[deep][vectors] = {};
        for (int64_t n = 0; n < all.pixels; ++n, out += outputs) {
          const float* in = image + all.corner[n];
          Vector grad[vectors];
          for (int k = 0; k < vectors; ++k) grad[k] = Load<true>(out + k * kLanes);
          for (int r = 0; r < deep; ++r) {
            for (int k = 0; k < vectors; ++k) sum[r][k] += grad[k] * in[at[r]];
          }
        }
        for (int r = 0; r < deep; ++r) {  // by image first: less rounding
          for (int k = 0; k < vectors; ++k) {
            float* sums = &total[(tile + r) * outputs + d + k * kLanes];
            Store<true>(sums, Load<true>(sums) + sum[r][k]);
          }
        }
      }
    }
    for (int64_t t = 0; t < all.terms; ++t) {
      std::copy_n(&total[t * outputs], all.outputs, kernel + t * all.outputs);
    }
  }
};

template <typename F>
void ByOutputs(int64_t outputs, F f) {
  Sized<4>(Tile((outputs + kLanes - 1) / kLanes, 4), [&](auto vectors) { f(Last<vectors>()); });
}

ffi::Error CorrelateLast(F32 x, F32 kernel, Result y, int64_t top, int64_t left) {
  Windows all(x.dimensions(), kernel.dimensions(), y->dimensions(), top, left);
  ByOutputs(all.outputs, [&](auto last) {
    last.Correlate(all, x.typed_data(), kernel.typed_data(), y->typed_data());
  });
  return ffi::Error::Success();
}

ffi::Error KernelGradientLast(F32 x, F32 dy, Result kernel, int64_t top, int64_t left) {
  Windows all(x.dimensions(), kernel->dimensions(), dy.dimensions(), top, left);
  ByOutputs(all.outputs, [&](auto last) {
    last.Gradient(all, x.typed_data(), dy.typed_data(), kernel->typed_data());
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(correlate, Correlate, ffi::Ffi::Bind()
    .Arg<F32>().Arg<F32>().Arg<F32>().Ret<F32>()  // x, kernel [kh, kw, Ci, Co], bias [Co], y
    .Attr<Grid>("from").Attr<Grid>("to")          // (n, m) of x, of y
    .Attr<int64_t>("top").Attr<int64_t>("left"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(kernel_gradient, KernelGradient, ffi::Ffi::Bind()
    .Arg<F32>().Arg<F32>().Ret<F32>().Ret<F32>()  // x, dy, dk [kh, kw, Ci, Co], db [Co]
    .Attr<Grid>("from").Attr<Grid>("to"));        // (n, m) of x, of dy

XLA_FFI_DEFINE_HANDLER_SYMBOL(correlate_last, CorrelateLast, ffi::Ffi::Bind()
    .Arg<F32>().Arg<F32>().Ret<F32>().Attr<int64_t>("top").Attr<int64_t>("left"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(kernel_gradient_last, KernelGradientLast, ffi::Ffi::Bind()
    .Arg<F32>().Arg<F32>().Ret<F32>().Attr<int64_t>("top").Attr<int64_t>("left"));
