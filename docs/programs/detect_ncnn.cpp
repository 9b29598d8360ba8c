// Detect objects in an image with ncnn: detect_ncnn detector.param photo.jpg found.jpg
// Reads the .param, .bin and .json that snv2 export wrote, of NanoDet-m and NanoDet-Plus. Needs ncnn and OpenCV 4.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <net.h>  // of ncnn
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

struct Box { cv::Rect2f rect; float score; int label; };

static cv::Mat resized(const cv::Mat &image, const cv::FileNode &how) {
    cv::Size size((int)how["scale"][0], (int)how["scale"][1]);
    cv::Mat result;
    if ((std::string)how["backend"] == "warp") {  // aligns corners, not centers of pixels
        cv::Matx33d matrix(size.width / double(image.cols), 0, 0, 0, size.height / double(image.rows), 0, 0, 0, 1);
        cv::warpPerspective(image, result, matrix, size);
        return result;
    }
    double factor = std::min(size.width / double(image.cols), size.height / double(image.rows)), half = (int)how["cut"] ? 0 : 0.5;
    if ((int)how["keep_ratio"])
        size = cv::Size(std::max(1, int(image.cols * factor + half)), std::max(1, int(image.rows * factor + half)));
    cv::resize(image, result, size);
    return result;
}

int main(int argc, char **argv) try {
    if (argc != 4) throw std::runtime_error("Usage: detect_ncnn detector.param photo.jpg found.jpg");
    std::string path(argv[1]), stem = path.substr(0, path.rfind('.'));
    cv::Mat image = cv::imread(argv[2]);
    if (image.empty()) throw std::runtime_error(std::string("Cannot read image: ") + argv[2]);
    cv::FileStorage about(stem + ".json", cv::FileStorage::READ);
    if (!about.isOpened()) throw std::runtime_error("Not found: " + stem + ".json");
    ncnn::Net net;
    if ((std::string)about["precision"] == "fp32")
        net.opt.use_fp16_arithmetic = net.opt.use_fp16_packed = net.opt.use_fp16_storage = false;
    if (net.load_param(path.c_str()) || net.load_model((stem + ".bin").c_str()))
        throw std::runtime_error("ncnn cannot read " + path);

    // The image in the middle or the upper left corner of the input, surrounded by the border.
    cv::FileNode input = about["input"], selection = about["selection"];
    cv::Mat small = resized(image, about["resize"]);
    int width = (int)input["size"][0], height = (int)input["size"][1];
    int left = (int)input["center"] ? (width - small.cols) / 2 : 0, top = (int)input["center"] ? (height - small.rows) / 2 : 0;
    ncnn::Mat x(width, height, 3);
    for (int c = 0; c < 3; ++c) {
        float mean = (float)input["mean"][c], std = (float)input["std"][c];
        ncnn::Mat channel = x.channel(c);
        channel.fill((float)input["border"][c]);
        for (int row = 0; row < small.rows; ++row)
            for (int column = 0; column < small.cols; ++column)
                channel.row(top + row)[left + column] =
                    (small.at<cv::Vec3b>(row, column)[(int)input["rgb"] ? 2 - c : c] - mean) / std;
    }
    ncnn::Mat boxes, scores;
    ncnn::Extractor extractor = net.create_extractor();
    extractor.input("input", x);
    extractor.extract("boxes", boxes);    // h = priors, w = 4
    extractor.extract("scores", scores);  // h = priors, w = classes

    // Candidates above the threshold, best first; NMS within each class.
    std::vector<Box> candidates, kept;
    for (int prior = 0; prior < scores.h; ++prior)
        for (int label = 0; label < scores.w; ++label)
            if (scores.row(prior)[label] > std::max(0.3f, (float)selection["score_thr"])) {
                const float *b = boxes.row(prior);
                candidates.push_back({{b[0], b[1], b[2] - b[0], b[3] - b[1]}, scores.row(prior)[label], label});
            }
    std::stable_sort(candidates.begin(), candidates.end(), [](const Box &a, const Box &b) { return a.score > b.score; });
    for (const Box &one : candidates)
        if (std::none_of(kept.begin(), kept.end(), [&](const Box &other) {
                float common = (one.rect & other.rect).area();
                return one.label == other.label &&
                       common > (float)selection["iou_threshold"] * (one.rect.area() + other.rect.area() - common);
            }))
            kept.push_back(one);

    float fx = image.cols / float(small.cols), fy = image.rows / float(small.rows);
    for (const Box &one : kept) {
        cv::Rect2f corners(0, 0, small.cols, small.rows), rect = (one.rect - cv::Point2f(left, top)) & corners;
        std::string name = (std::string)about["classes"][one.label];
        std::printf("%s %.4f %.2f %.2f %.2f %.2f\n", name.c_str(), one.score, rect.x * fx, rect.y * fy,
                    (rect.x + rect.width) * fx, (rect.y + rect.height) * fy);
        cv::rectangle(image, cv::Rect(rect.x * fx, rect.y * fy, rect.width * fx, rect.height * fy), {0, 200, 0}, 2);
        cv::putText(image, name, cv::Point(rect.x * fx + 3, rect.y * fy + 14), cv::FONT_HERSHEY_SIMPLEX, 0.5, {0, 200, 0});
    }
    if (!cv::imwrite(argv[3], image)) throw std::runtime_error(std::string("Cannot write image: ") + argv[3]);
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 2;
}
